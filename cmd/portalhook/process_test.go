package main_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/storage"
	"portalhook/storage/storagetest"
)

// process is a real server process on a free loopback port. It can be killed and started again on the same file.
type process struct {
	url, key, store string
	database        string // of PostgreSQL; empty: the store is a file of SQLite's
	listen          string // a free port at first, the same one after a restart
	args            []string
	cmd             *exec.Cmd
	log             *bytes.Buffer
	races           atomic.Bool   // the race detector has found something in it
	logged          chan struct{} // closed when nothing more comes to the log, which is after a kill
}

const processKey = "test-admin-key-0123456789abcdef"

// binary builds the real program once for all tests that need a process of it. It stands beside the tests' own program, in the
// folder that the go command removes after the run. Under the race detector it has one as well.
var binary = sync.OnceValues(func() (string, error) {
	tests, err := os.Executable()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(tests), "portalhook-under-test")
	out, err := exec.Command("go", "build", fmt.Sprintf("-race=%t", raced), "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return path, nil
})

// starter starts a server with a new store.
type starter = func(tb testing.TB, args ...string) *process

// eachStore runs a test with servers on each database.
func eachStore(t *testing.T, test func(t *testing.T, start starter)) {
	t.Helper()
	storagetest.OnEach(t, func(t *testing.T, place func(testing.TB) storage.Config) {
		t.Helper()
		test(t, at(place))
	})
}

// on starts servers on a database of a kind.
func on(database string) starter {
	return at(func(tb testing.TB) storage.Config {
		tb.Helper()
		return storagetest.Place(tb, database)
	})
}

// at starts servers whose stores lie where place says.
func at(place func(testing.TB) storage.Config) starter {
	return func(tb testing.TB, args ...string) *process {
		tb.Helper()
		p := &process{key: processKey, listen: "127.0.0.1:0", args: args}
		config := place(tb)
		if p.store, p.database = config.Path, config.URL; p.database != "" {
			p.store = strings.TrimSuffix(config.KeyFile, ".key")
		}
		tb.Cleanup(func() {
			p.kill()
			require.False(tb, p.races.Load(), "data races in the server: %s", p.log)
		})
		p.start(tb)
		return p
	}
}

// startServer starts a server on SQLite, for what is not about the store.
var startServer = on(storagetest.SQLite)

// storeFlags name the process's store.
func (p *process) storeFlags() []string {
	if p.database != "" {
		return []string{"--store", p.database, "--key-file", p.store + ".key"}
	}
	return []string{"--store", "sqlite:" + p.store}
}

// start runs the server and waits for the line that names its address, and for /readyz.
func (p *process) start(tb testing.TB) {
	tb.Helper()
	path, err := binary()
	require.NoError(tb, err)
	args := append([]string{
		"serve", "--listen", p.listen, "--admin-key", p.key, "--log-format", "json",
		"--allow-http", "--allow-target", "127.0.0.0/8", "--max-webhooks", "100000", "--max-webhooks-per-owner", "100000",
	}, p.storeFlags()...)
	args = append(args, p.args...)
	p.cmd = exec.Command(path, args...)
	p.log = new(bytes.Buffer)
	p.cmd.Stdout = io.Discard
	stderr, err := p.cmd.StderrPipe()
	require.NoError(tb, err)
	require.NoError(tb, p.cmd.Start())
	address := make(chan string, 1)
	p.logged = make(chan struct{})
	go func() {
		defer close(p.logged)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			var line struct {
				Address string `json:"address"`
			}
			if json.Unmarshal(lines.Bytes(), &line) == nil && line.Address != "" {
				select {
				case address <- line.Address:
				default:
				}
			} else if p.log.Len() < 1<<20 {
				p.log.Write(append(lines.Bytes(), '\n'))
			}
			if strings.Contains(lines.Text(), "WARNING: DATA RACE") {
				p.races.Store(true)
			}
		}
		close(address)
	}()
	found, ok := <-address
	require.True(tb, ok, "the server ended before it listened: %s", p.log)
	p.url, p.listen = "http://"+found, found
	response, err := http.Get(p.url + "/readyz")
	require.NoError(tb, err)
	_ = response.Body.Close()
	require.Equal(tb, http.StatusOK, response.StatusCode)
}

// kill ends the process as a power cut would end its work: SIGKILL.
func (p *process) kill() {
	if p.cmd == nil || p.cmd.Process == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	if p.logged != nil { // else a test reads its log otherwise
		<-p.logged
	}
	_ = p.cmd.Wait()
	p.cmd = nil
}

// call sends a JSON request with the admin key and decodes the answer into out, if not nil.
func (p *process) call(tb testing.TB, method, path string, in, out any, want int) {
	tb.Helper()
	body, err := json.Marshal(in)
	require.NoError(tb, err)
	if in == nil {
		body = nil
	}
	request, err := http.NewRequestWithContext(tb.Context(), method, p.url+path, bytes.NewReader(body))
	require.NoError(tb, err)
	request.Header.Set("Authorization", "Bearer "+p.key)
	if in != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request) //nolint:forbidigo // loopback, in a test
	require.NoError(tb, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(tb, err)
	require.Equal(tb, want, response.StatusCode, "%s %s: %s", method, path, answer)
	if out != nil {
		require.NoError(tb, json.Unmarshal(answer, out))
	}
}

// createWebhook makes a webhook.
func (p *process) createWebhook(tb testing.TB, webhook map[string]any) {
	tb.Helper()
	p.call(tb, http.MethodPost, "/api/v1/webhooks", webhook, nil, http.StatusCreated)
}

// metric reads one sample without labels from /metrics.
func (p *process) metric(tb testing.TB, name string) float64 {
	tb.Helper()
	response, err := http.Get(p.url + "/metrics")
	require.NoError(tb, err)
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			number, err := strconv.ParseFloat(value, 64)
			require.NoError(tb, err)
			return number
		}
	}
	tb.Fatalf("/metrics has no %s", name)
	return 0
}

// memory is a line of /proc/<pid>/status in MiB: VmRSS, VmHWM.
func (p *process) memory(tb testing.TB, line string) float64 {
	tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	require.NoError(tb, err)
	_, rest, ok := strings.Cut(string(status), line+":")
	require.True(tb, ok)
	kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
	require.NoError(tb, err)
	return kib / 1024
}

// cpu is the process's user and system time so far, in seconds.
func (p *process) cpu(tb testing.TB) float64 {
	tb.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	require.NoError(tb, err)
	_, rest, ok := strings.Cut(string(stat), ") ")
	require.True(tb, ok)
	fields := strings.Fields(rest)
	user, err := strconv.ParseFloat(fields[11], 64)
	require.NoError(tb, err)
	system, err := strconv.ParseFloat(fields[12], 64)
	require.NoError(tb, err)
	const ticksPerSecond = 100
	return (user + system) / ticksPerSecond
}

// awaitNoneOpen polls until every delivery is settled; the poll's step is the error of a time taken after it.
func awaitNoneOpen(tb testing.TB, server *process) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); <-tick.C {
		if server.metric(tb, "portalhook_open_deliveries") == 0 {
			return
		}
	}
	tb.Fatal("deliveries are still open after two minutes")
}
