package postgrestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const superuser = "postgres"

// server is a running PostgreSQL. It ends with the process that started it, however that ends.
type server struct {
	folder   string // of its data, and of its socket
	port     string
	password string
	process  *os.Process
	ended    chan struct{}
	failed   error // once it has ended
	alone    sync.Mutex
}

// start makes a server's files and runs it with settings (name=value), as an unprivileged user: PostgreSQL refuses root.
func start(ctx context.Context, settings []string) (_ *server, err error) {
	programs, err := find()
	if err != nil {
		return nil, err
	}
	credential, err := unprivileged()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "postgres-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(folder))
		}
	}()
	s := &server{folder: folder, password: newPassword(), ended: make(chan struct{})}
	secret := filepath.Join(folder, "password")
	if err := os.WriteFile(secret, []byte(s.password), 0o600); err != nil {
		return nil, err
	}
	if credential != nil {
		for _, path := range []string{folder, secret} {
			if err := os.Chown(path, int(credential.Uid), int(credential.Gid)); err != nil {
				return nil, err
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	data := filepath.Join(folder, "data")
	//nolint:gosec // names of our own
	initialise := exec.CommandContext(ctx, filepath.Join(programs, "initdb"), "--pgdata", data, "--username", superuser, "--no-sync",
		"--encoding", "UTF8", "--no-locale", "--auth-local", "trust", "--auth-host", "scram-sha-256", "--pwfile", secret)
	initialise.Dir, initialise.SysProcAttr = folder, &syscall.SysProcAttr{Credential: credential}
	if out, err := initialise.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if s.port, err = freePort(ctx); err != nil {
		return nil, err
	}
	return s, s.launch(ctx, filepath.Join(programs, "postgres"), data, credential, settings)
}

// throwaway are the settings of a server whose data nobody wants back: nothing is brought to disk for good.
var throwaway = []string{"fsync=off", "full_page_writes=off", "shared_buffers=64MB", "max_wal_size=256MB"}

// launch runs the server and returns when it answers.
func (s *server) launch(ctx context.Context, program, data string, credential *syscall.Credential, settings []string) error {
	log := new(bytes.Buffer)
	args := []string{"-D", data, "-p", s.port, "-k", s.folder, "-h", "127.0.0.1"}
	for _, setting := range append([]string{"max_connections=300", "log_min_messages=warning"}, settings...) {
		args = append(args, "-c", setting)
	}
	//nolint:gosec // names of our own
	command := exec.CommandContext(context.WithoutCancel(ctx), program, args...)
	command.Dir, command.Stdout, command.Stderr = s.folder, log, log
	command.SysProcAttr = &syscall.SysProcAttr{Credential: credential, Pdeathsig: syscall.SIGQUIT}
	started := make(chan error, 1)
	go func() {
		// The signal of a parent's death is that of the thread that has started it, so this one stays.
		runtime.LockOSThread()
		started <- command.Start()
		s.failed = command.Wait() // that it was told to end is no error to anybody
		close(s.ended)
	}()
	if err := <-started; err != nil {
		return err
	}
	s.process = command.Process
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		err := execute(ctx, s.url("postgres"), "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("postgres: %w\n%s", s.failed, log)
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("postgres does not answer: %w", err), s.process.Signal(syscall.SIGQUIT))
		case <-poll.C:
		}
	}
}

// stop ends the server and removes its files.
func (s *server) stop() error {
	if err := s.process.Signal(syscall.SIGQUIT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-s.ended
	return os.RemoveAll(s.folder)
}

// find gives the folder of PostgreSQL's programs: those of Debian's newest package, or those in the path.
func find() (string, error) {
	folders, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	slices.SortFunc(folders, func(a, b string) int { return versionOf(b) - versionOf(a) })
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			folders = append(folders, filepath.Dir(path))
		}
	}
	for _, folder := range folders {
		if _, err := os.Stat(filepath.Join(folder, "initdb")); err == nil {
			return folder, nil
		}
	}
	return "", &missingError{"its server is not installed"}
}

func versionOf(folder string) int {
	version, err := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
	if err != nil {
		return 0
	}
	return version
}

// unprivileged gives the user that root runs the server as; nil for anybody else, who runs it himself.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(found.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(found.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, &missingError{"root may not run it, and there is no other user"}
}

// freePort is one of the loopback interface that nobody listens on.
func freePort(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, errors.Join(err, listener.Close())
}
