package main

import (
	"os"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
)

const (
	// serverGC is the garbage collector's GOGC while serving: a small heap that turns over fast is collected too often at 100.
	serverGC = 400
	// memoryShare is the part of the machine's memory that the heap may fill before the collector works harder.
	memoryShare = 2
	// leastLimit is a limit below which the collector would do nothing but work.
	leastLimit = 128 << 20
)

// limitMemory sets the garbage collector for a server, unless GOGC or GOMEMLIMIT say otherwise: rarely at work while the heap is
// small, and never such that a backlog eats the machine.
func limitMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(serverGC)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		if have := memoryOf(os.ReadFile); have > 0 {
			debug.SetMemoryLimit(max(have/memoryShare, leastLimit))
		}
	}
}

// memoryOf is the memory in bytes that this process may use: the least that its control groups have as a limit, or the machine's; 0 when
// neither is known.
func memoryOf(read func(string) ([]byte, error)) int64 {
	least := machineMemory(read)
	for _, file := range limitFiles(read) {
		text, err := read(file)
		if err != nil {
			continue
		}
		// "max" is none in version 2; in version 1 it is a number above any machine's memory.
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && limit > 0 && (least == 0 || limit < least) {
			least = limit
		}
	}
	return least
}

func machineMemory(read func(string) ([]byte, error)) int64 {
	text, err := read("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "MemTotal:" && fields[2] == "kB" {
			if kib, err := strconv.ParseInt(fields[1], 10, 53); err == nil {
				return max(kib, 0) << 10
			}
		}
	}
	return 0
}

// limitFiles are where a limit may stand: of the control group of either version that the process is in, and of those around it. In a
// container the group is often the root that is seen there, whatever its path says.
func limitFiles(read func(string) ([]byte, error)) []string {
	const version1, version2 = "/sys/fs/cgroup/memory", "/sys/fs/cgroup"
	files := []string{version2 + "/memory.max", version1 + "/memory.limit_in_bytes"}
	groups, err := read("/proc/self/cgroup")
	if err != nil {
		return files
	}
	for line := range strings.Lines(string(groups)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // hierarchy, controllers, path
		if len(fields) != 3 {
			continue
		}
		for group := path.Clean("/" + fields[2]); group != "/"; group = path.Dir(group) {
			switch {
			case fields[0] == "0" && fields[1] == "":
				files = append(files, version2+group+"/memory.max")
			case slices.Contains(strings.Split(fields[1], ","), "memory"):
				files = append(files, version1+group+"/memory.limit_in_bytes")
			}
		}
	}
	return files
}
