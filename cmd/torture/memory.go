package main

import (
	"fmt"
	"os"
	"strings"
)

// peak is the most memory that the process has had resident, in bytes.
func (s *server) peak() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			var kib int64
			_, err := fmt.Sscan(text, &kib)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("the process %d has no VmHWM", s.pid())
}

// within is an error when the process has ever had more than most bytes resident.
func (s *server) within(most int64) error {
	peak, err := s.peak()
	if err == nil && peak > most {
		err = fmt.Errorf("the server had %d MiB in memory, and must not have more than %d", peak>>20, most>>20)
	}
	return err
}
