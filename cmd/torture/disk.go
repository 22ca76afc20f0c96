package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func diskScenarios() []scenario {
	return []scenario{
		{name: "power-cut", of: sqlite, cases: []int{2}, about: "killed, and of the store only what was synced is left, with torn pieces of what was not", run: powerCut},
		{name: "torn-log", of: sqlite, about: "killed, and the log ends in half a frame or in rubbish", run: tornLog},
		{name: "disk-full", of: sqlite, cases: []int{5}, about: "another program fills the disk under load; later there is room again", run: diskFull},
		{name: "disk-fails", of: sqlite, about: "writes fail under load as those of a failing or read-only disk: EIO, EROFS, EDQUOT", run: diskFails},
		{name: "read-only", of: sqlite, about: "started on a read-only disk: refused with the reason; then on one that can be written", run: readOnly},
		{name: "database-locked", of: sqlite, cases: []int{7}, about: "another process holds the write lock of the database for longer than the server waits", run: databaseLocked},
		{name: "store-taken", of: sqlite, about: "a second server on the same file is refused, and does not disturb the first", run: storeTaken},
	}
}

// powerCut lets a disk forget what was not synced.
func powerCut(r *rig) error {
	d, err := r.shim()
	if err != nil {
		return err
	}
	s, err := r.standard(serverOptions{env: d.env()})
	if err != nil {
		return err
	}
	return r.endedAndMended(s, max(3, r.size.kills/4), func(*server) error {
		s.kill()
		return d.cut(s.options.store)
	})
}

// tornLog writes behind the log what a write that never ended leaves.
func tornLog(r *rig) error {
	s, err := r.standard(serverOptions{})
	if err != nil {
		return err
	}
	const frame = 24 + 4096
	return r.endedAndMended(s, max(3, r.size.kills/10), func(*server) error {
		s.kill()
		name := s.options.store + "-wal"
		log, err := os.ReadFile(name) // #nosec G304 -- of the scenario's folder
		if err != nil {
			return err
		}
		torn := make([]byte, 1+r.random.IntN(2*frame))
		for i := range torn {
			torn[i] = byte(r.random.UintN(256)) // #nosec G115 -- it fits
		}
		if len(log) > 32+frame && r.random.IntN(2) == 0 { // a frame of this very log, cut off
			torn = log[len(log)-frame : len(log)-r.random.IntN(frame)]
		}
		return os.WriteFile(name, append(log, torn...), 0o600)
	})
}

// diskFull has ballast take all the room there is, some times over, and takes it away again.
func diskFull(r *rig) error {
	const mebibytes = 512
	q, err := r.quarters(mebibytes)
	if err != nil {
		return err
	}
	s, err := r.standard(serverOptions{within: q, store: filepath.Join(q.dir, "portalhook.db")})
	if err != nil {
		return err
	}
	return r.awhile(s, max(2, r.size.kills/40), "disk", func() error {
		return q.run(fmt.Sprintf("head -c %dm /dev/zero >%q/ballast 2>&1; test -s %q/ballast", 2*mebibytes, q.dir, q.dir) + " || true")
	}, func() error { return q.run(fmt.Sprintf("rm %q/ballast", q.dir)) })
}

// diskFails has every write fail with one error after another.
func diskFails(r *rig) error {
	d, err := r.shim()
	if err != nil {
		return err
	}
	s, err := r.standard(serverOptions{env: d.env()})
	if err != nil {
		return err
	}
	codes := []syscall.Errno{syscall.EIO, syscall.EROFS, syscall.EDQUOT, syscall.ENOSPC}
	next := 0
	return r.awhile(s, max(len(codes), r.size.kills/40), "", func() error {
		next++
		return d.fail(codes[next%len(codes)])
	}, d.mend)
}

// awhile makes a fault that refuses senders until it is mended, so many times, each with senders under way. While it lasts /readyz must name
// the part, if there is one.
func (r *rig) awhile(s *server, times int, part string, begin, end func() error) error {
	for range times {
		l := r.emit(s, r.size.events/times, loadOptions{pad: 2000})
		if err := l.reached(1 + r.random.IntN(r.size.events/times)); err != nil {
			return err
		}
		if err := begin(); err != nil {
			return err
		}
		during := r.emit(s, 5000, loadOptions{conns: 4, pace: 20 * time.Millisecond}) // the fault may be felt late: there is room in the log
		err := r.fault(during, func() error {
			return poll(r.ctx, time.Minute, "senders are refused", func() (bool, error) { return during.refused() > 0, s.gone() })
		}, func() error {
			var named error
			if part != "" {
				named = s.notReady(part)
			}
			return errors.Join(named, end())
		})
		during.stop()
		if err := errors.Join(err, l.wait(), during.wait()); err != nil {
			return err
		}
	}
	return r.settle(s, 3*time.Minute)
}

// notReady waits until /readyz answers 503 and names a part.
func (s *server) notReady(part string) error {
	return poll(s.ctx, 30*time.Second, "/readyz names "+part, func() (bool, error) {
		status, _, answer, err := s.call(http.MethodGet, "/readyz", nil)
		return status == http.StatusServiceUnavailable && bytes.Contains(answer, []byte(`"`+part+`"`)), errors.Join(err, fmt.Errorf("%d: %s", status, answer))
	})
}

// readOnly starts the server where nothing can be written.
func readOnly(r *rig) error {
	const mebibytes = 512
	q, err := r.quarters(mebibytes)
	if err != nil {
		return err
	}
	s, err := r.standard(serverOptions{within: q, store: filepath.Join(q.dir, "portalhook.db")})
	if err != nil {
		return err
	}
	l := r.emit(s, r.size.events/2, loadOptions{})
	if err := errors.Join(l.wait(), s.terminate()); err != nil {
		return err
	}
	if err := q.run("mount -o remount,ro " + q.dir); err != nil {
		return err
	}
	r.account.faults++
	if err := s.launch(); err == nil {
		return errors.New("it starts on a read-only disk")
	}
	if words := strings.ToLower(s.log.tail()); !strings.Contains(words, "read-only") && !strings.Contains(words, "readonly") {
		return fmt.Errorf("its last words do not say why: %s", words)
	}
	if err := errors.Join(q.run("mount -o remount,rw "+q.dir), s.start()); err != nil {
		return err
	}
	more := r.emit(s, r.size.events/2, loadOptions{})
	return errors.Join(more.wait(), r.settle(s, 2*time.Minute))
}

// walWriteLock is the byte of the -shm file that whoever writes to a database in WAL mode locks (SQLite, "WAL-mode file format", 2.3.1).
const walWriteLock = 120

// databaseLocked holds the lock that another program would, for instance one that was left in the middle of a transaction.
func databaseLocked(r *rig) error {
	s, err := r.standard(serverOptions{})
	if err != nil {
		return err
	}
	shm, err := os.OpenFile(s.options.store+"-shm", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer shm.Close()
	lock := func(kind int16) func() error {
		return func() error {
			return poll(r.ctx, time.Minute, "the lock is free", func() (bool, error) {
				err := syscall.FcntlFlock(shm.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: kind, Start: walWriteLock, Len: 1})
				return err == nil, err
			})
		}
	}
	return r.awhile(s, 1+r.size.kills/100, "", lock(syscall.F_WRLCK), lock(syscall.F_UNLCK))
}

// storeTaken starts a second server on the same file under load.
func storeTaken(r *rig) error {
	s, err := r.standard(serverOptions{})
	if err != nil {
		return err
	}
	l := r.emit(s, r.size.events, loadOptions{})
	if err := l.reached(r.size.events / 3); err != nil {
		return err
	}
	r.account.faults++
	second, err := r.serve(serverOptions{store: s.options.store})
	if err == nil {
		return errors.New("two servers run on one file")
	}
	if !second.log.has("in use by another process") {
		return fmt.Errorf("its last words do not say why: %s", second.log.tail())
	}
	return errors.Join(l.wait(), r.settle(s, 2*time.Minute))
}
