package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const adminKey = "torture-admin-key-0123456789abcdef"

// build is the binary under torture.
type build struct {
	path string
	dir  string // to remove, when it was built here
}

func newBuild(path string) (*build, error) {
	if path != "" {
		return &build{path: path}, nil
	}
	dir, err := os.MkdirTemp("", "torture-build-")
	if err != nil {
		return nil, err
	}
	b := &build{path: filepath.Join(dir, "portalhook"), dir: dir}
	return b, goBuild(b.path)
}

func (b *build) remove() {
	if b.dir != "" {
		_ = os.RemoveAll(b.dir)
	}
}

// serverOptions are what a scenario may have otherwise.
type serverOptions struct {
	store  string   // the SQLite file, default in the scenario's folder; on PostgreSQL the database, which is a new one
	args   []string // flags beside the usual ones
	env    []string // beside the process's own
	binary string   // another build
	within place    // where it runs; nil: here
	limits []string // of prlimit(1), such as --nofile=64
}

// place makes of a command line one that runs it there, and ends up as that process itself.
type place interface {
	wrap(line []string) []string
}

// server is one process of the product, which can be ended and started again on the same address and store.
type server struct {
	options serverOptions
	ctx     context.Context
	store   string // as --store has it
	log     *lastLines
	listen  string
	url     string
	client  *http.Client
	mu      sync.Mutex
	cmd     *exec.Cmd
	ended   chan struct{} // closed when cmd has ended
	status  error         // of cmd, after ended

	// Of a node on PostgreSQL; else nil.
	cluster *cluster
	home    *host
	cable   *cable       // to the database, where there is one
	number  int64        // of the node, as the database has it, when it was started last
	peers   *peers       // itself among them
	out     atomic.Bool  // no load is sent to it
	restsTo atomic.Int64 // it has not answered, and is not sent any before this time, in nanoseconds
}

// serve starts a server and waits until it is ready: on PostgreSQL the first of several.
func (r *rig) serve(o serverOptions) (*server, error) {
	if r.on == postgres {
		return r.serveCluster(o)
	}
	if o.store == "" {
		o.store = r.path("portalhook.db")
	}
	s := r.newServer(o)
	s.listen, s.store, s.peers = "127.0.0.1:0", "sqlite:"+o.store, &peers{[]*server{s}}
	return s, s.start()
}

func (r *rig) newServer(o serverOptions) *server {
	if o.binary == "" {
		o.binary = r.build.path
	}
	s := &server{options: o, ctx: r.ctx, log: new(lastLines)}
	s.client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	r.servers = append(r.servers, s)
	return s
}

// start runs the process and waits for /readyz.
func (s *server) start() error {
	if err := s.launch(); err != nil {
		return err
	}
	if err := s.awaitReady(); err != nil || s.cluster == nil {
		return err
	}
	return s.cluster.identify(s)
}

func (s *server) awaitReady() error {
	return poll(s.ctx, 60*time.Second, "the server is ready", func() (bool, error) { return s.ready(), s.gone() })
}

// launch runs the process and waits for its address.
func (s *server) launch() error {
	o := s.options
	line := []string{
		o.binary, "serve", "--listen", s.listen, "--store", s.store, "--admin-key", adminKey, "--log-format", "json",
		"--allow-http", "--allow-target", "127.0.0.0/8", "--max-webhooks", "100000",
	}
	if s.cluster != nil {
		line = append(line, "--allow-target", s.cluster.hosts.prefix, "--key-file", s.cluster.rig.path("nodes.key"))
	}
	line = append(line, o.args...)
	if len(o.limits) > 0 {
		line = slices.Concat([]string{"prlimit"}, o.limits, line)
	}
	if o.within != nil {
		line = o.within.wrap(line)
	}
	if s.home != nil {
		line = s.home.wrap(line)
	}
	cmd := exec.CommandContext(context.WithoutCancel(s.ctx), line[0], line[1:]...) // #nosec G204 -- what it runs is ours
	cmd.Env = append(os.Environ(), o.env...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	address, drained, ended := make(chan string, 1), make(chan struct{}), make(chan struct{})
	go s.read(stderr, address, drained)
	s.mu.Lock()
	s.cmd, s.ended = cmd, ended
	s.mu.Unlock()
	go func() {
		<-drained // Wait closes the pipe
		err := cmd.Wait()
		s.mu.Lock()
		s.status = err
		s.mu.Unlock()
		close(ended)
	}()
	select {
	case found := <-address:
		if s.listen != found { // it is the same after the first start, when others read it
			s.listen, s.url = found, "http://"+found
		}
		return nil
	case <-ended:
		return fmt.Errorf("the server ended before it listened: %w", s.gone())
	case <-time.After(60 * time.Second):
		return errors.New("the server does not listen after a minute")
	}
}

// read keeps the log's last lines and finds the address in it.
func (s *server) read(stderr io.Reader, address chan<- string, drained chan<- struct{}) {
	defer close(drained)
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var said struct {
			Address string `json:"address"`
		}
		switch err := json.Unmarshal(lines.Bytes(), &said); {
		case err != nil && !strings.HasPrefix(lines.Text(), "portalhook: "): // the command's last word is meant for people
			s.log.complain(lines.Text())
		case said.Address != "":
			select {
			case address <- said.Address:
			default:
			}
		}
		s.log.add(lines.Text())
	}
	_, _ = io.Copy(io.Discard, stderr) // a line too long to scan must not stop the process
}

// gone is why the process is not there any more, or nil while it is.
func (s *server) gone() error {
	s.mu.Lock()
	ended := s.ended
	s.mu.Unlock()
	if ended == nil {
		return errors.New("the server was not started")
	}
	select {
	case <-ended:
		s.mu.Lock()
		defer s.mu.Unlock()
		return errors.Join(errors.New("the server has ended"), s.status)
	default:
		return nil
	}
}

// signal sends a signal to the process.
func (s *server) signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return errors.New("no process")
	}
	return s.cmd.Process.Signal(sig)
}

// kill ends the process without a word to it.
func (s *server) kill() {
	if s.signal(syscall.SIGKILL) == nil {
		<-s.ended
	}
	s.client.CloseIdleConnections()
}

// terminate asks the process to stop and returns how it ended.
func (s *server) terminate() error {
	if err := s.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-s.ended:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.status
	case <-time.After(60 * time.Second):
		return errors.New("it does not stop within a minute of SIGTERM")
	}
}

func (s *server) ready() bool {
	status, _, _, err := s.call(http.MethodGet, "/readyz", nil)
	return err == nil && status == http.StatusOK
}

// answerTime is how long a sender that knows of other nodes waits for the answer of one, which he then sends nothing for restTime.
const (
	answerTime = 5 * time.Second
	restTime   = time.Second
)

// send sends events.
func (s *server) send(body []byte) (status int, header http.Header, answer []byte, err error) {
	ctx := s.ctx
	if len(s.peers.all) > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, answerTime)
		defer cancel()
	}
	return s.callWithin(ctx, http.MethodPost, "/api/v1/events", body)
}

// rest has a node be sent nothing for a while, where there are others.
func (s *server) rest() { s.restsTo.Store(time.Now().Add(restTime).UnixNano()) }

func (s *server) resting() bool { return s.out.Load() || time.Now().UnixNano() < s.restsTo.Load() }

// call sends a JSON body (or bytes as they are) with the admin key.
func (s *server) call(method, path string, in any) (status int, header http.Header, answer []byte, err error) {
	return s.callWithin(s.ctx, method, path, in)
}

func (s *server) callWithin(ctx context.Context, method, path string, in any) (status int, header http.Header, answer []byte, err error) {
	var body []byte
	switch in := in.(type) {
	case nil:
	case []byte:
		body = in
	default:
		if body, err = json.Marshal(in); err != nil {
			return 0, nil, nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+adminKey)
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := s.client.Do(request)
	if err != nil {
		return 0, nil, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, response.Header, answer, err
}

// ask is call for what must be answered with a 2xx; out may be nil.
func (s *server) ask(method, path string, in, out any) error {
	status, _, answer, err := s.call(method, path, in)
	if err != nil {
		return err
	}
	if status/100 != 2 {
		return fmt.Errorf("%s %s: %d: %s", method, path, status, answer)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

// metric reads one sample without labels.
func (s *server) metric(name string) (float64, error) {
	status, _, answer, err := s.call(http.MethodGet, "/metrics", nil)
	if err != nil || status != http.StatusOK {
		return 0, errors.Join(err, fmt.Errorf("/metrics: %d", status))
	}
	for line := range strings.Lines(string(answer)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			var number float64
			_, err := fmt.Sscan(value, &number)
			return number, err
		}
	}
	return 0, fmt.Errorf("/metrics has no %s", name)
}

// pid is that of the process.
func (s *server) pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd.Process.Pid
}

// idle waits until nothing is open, at every node.
func (s *server) idle(limit time.Duration) error {
	return poll(s.ctx, limit, "every delivery is settled", func() (bool, error) {
		for _, node := range s.peers.alive() {
			open, err := node.metric("portalhook_open_deliveries")
			if err != nil || open != 0 {
				return false, errors.Join(err, fmt.Errorf("%v are open", open))
			}
		}
		if s.cluster != nil { // what a node knows of the others is a while ago
			open, err := s.cluster.number(s.options.store, "SELECT count(*) FROM work")
			return err == nil && open == 0, errors.Join(err, fmt.Errorf("%d are in the database", open))
		}
		return true, nil
	})
}

// lastLines keeps the end of a log.
type lastLines struct {
	mu    sync.Mutex
	lines []string
	wrong []error // lines that are not JSON, the first few: a program that reads the log would stumble
}

func (l *lastLines) complain(line string) {
	const kept = 5
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.wrong) < kept {
		l.wrong = append(l.wrong, fmt.Errorf("the log has a line that is not JSON: %.200q", line))
	}
}

func (l *lastLines) add(line string) {
	const kept = 200
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) == kept {
		l.lines = slices.Delete(l.lines, 0, kept/2)
	}
	l.lines = append(l.lines, line)
}

// has tells whether a kept line contains the text.
func (l *lastLines) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.lines, func(line string) bool { return strings.Contains(line, text) })
}

func (l *lastLines) tail() string {
	const shown = 15
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines[max(0, len(l.lines)-shown):], "\n")
}
