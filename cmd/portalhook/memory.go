package main

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

const (
	// serverGC is the garbage collector's GOGC while serving: a small heap that turns over fast is collected too often at 100.
	serverGC = 400
	// memoryShare is the part of the machine's memory that the heap may fill before the collector works harder.
	memoryShare = 2
	// leastLimit is a limit below which the collector would do nothing but work.
	leastLimit = 256 << 20
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

// memoryOf is the memory in bytes that this process may use: its control group's limit, or the machine's; 0 when neither is known.
func memoryOf(read func(string) ([]byte, error)) int64 {
	machine := int64(0)
	if text, err := read("/proc/meminfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "MemTotal:" && fields[2] == "kB" {
				if kib, err := strconv.ParseInt(fields[1], 10, 53); err == nil {
					machine = max(kib, 0) << 10
				}
			}
		}
	}
	if text, err := read("/sys/fs/cgroup/memory.max"); err == nil {
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && limit > 0 && (machine == 0 || limit < machine) {
			return limit
		}
	}
	return machine
}
