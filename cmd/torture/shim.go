package main

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// diskSource is a library that stands between SQLite and the file system.
//
//go:embed shim/disk.c
var diskSource []byte

// disk is the shim of one server: what a power cut would leave of its store, and a switch that has writes fail.
type disk struct {
	library string
	mirror  string // the folder with what is synced
	failing string // the file that has writes fail while it is there
}

// shim builds the library and makes an empty disk.
func (r *rig) shim() (*disk, error) {
	d := &disk{library: r.path("disk.so"), mirror: r.path("mirror"), failing: r.path("failing")}
	source := r.path("disk.c")
	if err := os.WriteFile(source, diskSource, 0o600); err != nil {
		return nil, err
	}
	// #nosec G204 -- our own source, into the scenario's folder
	build := exec.CommandContext(r.ctx, "gcc", "-shared", "-fPIC", "-O2", "-o", d.library, source, "-ldl", "-lpthread")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the shim: %w: %s", err, out)
	}
	return d, os.Mkdir(d.mirror, 0o700)
}

// env has a process use the disk.
func (d *disk) env() []string {
	return []string{"LD_PRELOAD=" + d.library, "TORTURE_MIRROR=" + d.mirror, "TORTURE_FAIL=" + d.failing}
}

// fail has every write and sync of the store fail with an error number.
func (d *disk) fail(errno syscall.Errno) error {
	return os.WriteFile(d.failing, []byte(strconv.Itoa(int(errno))), 0o600)
}

// mend ends that.
func (d *disk) mend() error { return os.Remove(d.failing) }

// cut makes of a store what a power cut would have left of it. The process is killed already.
func (d *disk) cut(store string) error {
	for _, name := range []string{store, store + "-wal"} {
		kept, err := os.ReadFile(filepath.Join(d.mirror, filepath.Base(name)))
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		if err := os.WriteFile(name, kept, 0o600); err != nil {
			return err
		}
	}
	if err := os.Remove(store + "-shm"); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}
