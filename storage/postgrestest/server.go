package postgrestest

import (
	"bytes"
	"cmp"
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

// Options are what a server may have otherwise than tests want it.
type Options struct {
	// Listen is the address that it listens on beside its socket; empty: 127.0.0.1. The port is a free one.
	Listen string
	// Enter is called on the thread that starts the process, every time: what it enters, a network namespace for instance, the process is in. nil: nothing.
	Enter func() error
	// Settings are added to those of the command line, each as name=value, and outweigh them.
	Settings []string
}

// Server is a PostgreSQL of one's own. It ends with the process that started it, however that ends.
type Server struct {
	options    Options
	folder     string // of its data, and of its socket
	port       string
	password   string
	program    string
	credential *syscall.Credential
	process    *os.Process
	ended      chan struct{}
	failed     error // once it has ended
	alone      sync.Mutex
}

// ErrMissing is wrapped by the error of Start where PostgreSQL is not installed, or may not be run.
var ErrMissing = errors.New("no PostgreSQL")

// Start makes a server's files and runs it, as an unprivileged user: PostgreSQL refuses root. It returns when the server answers.
func Start(ctx context.Context, options Options) (_ *Server, err error) {
	programs, err := find()
	if err != nil {
		return nil, err
	}
	s := &Server{options: options, password: newPassword(), program: filepath.Join(programs, "postgres")}
	if s.credential, err = unprivileged(); err != nil {
		return nil, err
	}
	if s.folder, err = os.MkdirTemp("", "postgres-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(s.folder))
		}
	}()
	secret := filepath.Join(s.folder, "password")
	if err := os.WriteFile(secret, []byte(s.password), 0o600); err != nil {
		return nil, err
	}
	if s.credential != nil {
		for _, path := range []string{s.folder, secret} {
			if err := os.Chown(path, int(s.credential.Uid), int(s.credential.Gid)); err != nil {
				return nil, err
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	//nolint:gosec // names of our own
	initialise := exec.CommandContext(ctx, filepath.Join(programs, "initdb"), "--pgdata", s.data(), "--username", superuser, "--no-sync",
		"--encoding", "UTF8", "--no-locale", "--auth-local", "trust", "--auth-host", "scram-sha-256", "--pwfile", secret)
	initialise.Dir, initialise.SysProcAttr = s.folder, &syscall.SysProcAttr{Credential: s.credential}
	if out, err := initialise.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if options.Listen != "" { // of others than this machine, who have to prove that they know the password all the same
		if err := s.admitAll(); err != nil {
			return nil, err
		}
	}
	if s.port, err = freePort(ctx); err != nil {
		return nil, err
	}
	return s, s.launch(ctx)
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }

// admitAll has the server take connections from wherever it can be reached.
func (s *Server) admitAll() error {
	file, err := os.OpenFile(filepath.Join(s.data(), "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString("host all all all scram-sha-256\n")
	return errors.Join(err, file.Close())
}

// Again starts a server that has ended, on its files and its port.
func (s *Server) Again(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return s.launch(ctx)
}

// launch runs the server and returns when it answers. Nothing that it holds outlives it, so nothing is brought to disk for good.
func (s *Server) launch(ctx context.Context) error {
	line := []string{"-D", s.data(), "-p", s.port, "-k", s.folder, "-h", cmp.Or(s.options.Listen, "127.0.0.1")}
	for _, setting := range slices.Concat([]string{
		"fsync=off", "full_page_writes=off", "max_connections=300", "shared_buffers=64MB", "autovacuum=on", "max_wal_size=256MB", "log_min_messages=warning",
	}, s.options.Settings) {
		line = append(line, "-c", setting)
	}
	log := new(bytes.Buffer)
	command := exec.CommandContext(context.WithoutCancel(ctx), s.program, line...) //nolint:gosec // names of our own
	command.Dir, command.Stdout, command.Stderr = s.folder, log, log
	command.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential, Pdeathsig: syscall.SIGQUIT}
	started, ended := make(chan error, 1), make(chan struct{})
	s.ended = ended
	go func() {
		// The signal of a parent's death is that of the thread that has started it, so this one stays, and ends with this function.
		runtime.LockOSThread()
		if s.options.Enter != nil {
			if err := s.options.Enter(); err != nil {
				started <- err
				close(ended)
				return
			}
		}
		started <- command.Start()
		s.failed = command.Wait() // that it was told to end is no error to anybody
		close(ended)
	}()
	if err := <-started; err != nil {
		return err
	}
	s.process = command.Process
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		err := execute(ctx, s.Socket("postgres"), "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("postgres: %w\n%s", s.failed, log)
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("postgres does not answer: %w", err), s.process.Signal(syscall.SIGQUIT))
		case <-poll.C:
		}
	}
}

// End ends the server, at once as a crash does, or in order, when transactions under way have been broken off; its files stay.
func (s *Server) End(atOnce bool) error {
	signal := syscall.SIGINT
	if atOnce {
		signal = syscall.SIGQUIT
	}
	if err := s.process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-s.ended
	return nil
}

// Stop ends the server and removes its files.
func (s *Server) Stop() error { return errors.Join(s.End(true), os.RemoveAll(s.folder)) }

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
	return "", fmt.Errorf("%w: its server is not installed", ErrMissing)
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
	return nil, fmt.Errorf("%w: root may not run it, and there is no other user", ErrMissing)
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
