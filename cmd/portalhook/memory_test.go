package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemoryOf(t *testing.T) {
	const meminfo, group = "/proc/meminfo", "/sys/fs/cgroup/memory.max"
	machine := "MemFree:    100 kB\nMemTotal:       2048 kB\n"
	for name, test := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"the machine's":                {map[string]string{meminfo: machine}, 2 << 20},
		"a group without a limit":      {map[string]string{meminfo: machine, group: "max\n"}, 2 << 20},
		"a group with one":             {map[string]string{meminfo: machine, group: "1048576\n"}, 1 << 20},
		"one above the machine":        {map[string]string{meminfo: machine, group: "1099511627776\n"}, 2 << 20},
		"a group only":                 {map[string]string{group: "1048576\n"}, 1 << 20},
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
