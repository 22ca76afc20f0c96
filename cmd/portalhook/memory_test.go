package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemoryOf(t *testing.T) {
	const meminfo, group = "/proc/meminfo", "/sys/fs/cgroup/memory.max"
	const groups, other, old = "/proc/self/cgroup", "/sys/fs/cgroup/system.slice/portalhook.service/memory.max", "/sys/fs/cgroup/memory/docker/1f/memory.limit_in_bytes"
	const unlimited = "9223372036854771712\n"
	machine := "MemFree:    100 kB\nMemTotal:       2048 kB\n"
	for name, test := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"the machine's":           {map[string]string{meminfo: machine}, 2 << 20},
		"a group without a limit": {map[string]string{meminfo: machine, group: "max\n"}, 2 << 20},
		"a group with one":        {map[string]string{meminfo: machine, group: "1048576\n"}, 1 << 20},
		"one above the machine":   {map[string]string{meminfo: machine, group: "1099511627776\n"}, 2 << 20},
		"a group only":            {map[string]string{group: "1048576\n"}, 1 << 20},
		"a service's group":       {map[string]string{meminfo: machine, groups: "0::/system.slice/portalhook.service\n", other: "1048576\n"}, 1 << 20},
		"a group above the service's": {map[string]string{
			meminfo: machine, groups: "0::/system.slice/portalhook.service\n", other: "max\n", "/sys/fs/cgroup/system.slice/memory.max": "524288\n",
		}, 512 << 10},
		"a group of version 1": {map[string]string{meminfo: machine, groups: "9:cpu:/\n4:memory:/docker/1f\n0::/\n", old: "1048576\n"}, 1 << 20},
		"version 1 in a container": {map[string]string{
			meminfo: machine, groups: "4:memory,hugetlb:/docker/2e\n", "/sys/fs/cgroup/memory/memory.limit_in_bytes": "1048576\n", old: "1\n",
		}, 1 << 20},
		"version 1 without a limit":    {map[string]string{meminfo: machine, groups: "4:memory:/docker/1f\n", old: unlimited}, 2 << 20},
		"groups that cannot be read":   {map[string]string{meminfo: machine, groups: "4:memory\n::\n\n"}, 2 << 20},
		"neither, as on other systems": {nil, 0},
		"what cannot be read":          {map[string]string{meminfo: "MemTotal: lots kB", group: ""}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := memoryOf(func(path string) ([]byte, error) {
				if text, ok := test.files[path]; ok {
					return []byte(text), nil
				}
				return nil, os.ErrNotExist
			})
			require.Equal(t, test.want, got)
		})
	}
}
