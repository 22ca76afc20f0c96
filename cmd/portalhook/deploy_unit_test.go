package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// unitOf reads a unit of systemd's: the values of each key, in their order.
func unitOf(t *testing.T, text string) map[string][]string {
	t.Helper()
	unit, section := map[string][]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			section = strings.Trim(line, "[]")
			require.Contains(t, []string{"Unit", "Service", "Install"}, section)
		default:
			key, value, ok := strings.Cut(line, "=")
			require.True(t, ok, line)
			require.NotEmpty(t, section, line)
			unit[key] = append(unit[key], value)
		}
	}
	return unit
}

// The unit runs a command line that is taken, with files that it loads, and gives the server time to end.
func TestUnit(t *testing.T) {
	unit := unitOf(t, string(deployFile(t, "portalhook.service")))
	credentials := t.TempDir()
	loaded := map[string]bool{}
	for _, credential := range unit["LoadCredential"] {
		name, path, ok := strings.Cut(credential, ":")
		require.True(t, ok)
		require.Equal(t, "/etc/portalhook/"+name, path)
		loaded[name] = true
	}
	require.NoError(t, os.WriteFile(filepath.Join(credentials, "portalhook.yaml"), deployFile(t, "portalhook.yaml"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(credentials, "admin-key"), []byte("a-key-of-a-credential\n"), 0o600))
	require.Len(t, unit["ExecStart"], 1)
	words := strings.Fields(strings.ReplaceAll(unit["ExecStart"][0], "${CREDENTIALS_DIRECTORY}", credentials))
	for _, word := range words {
		if name, ok := strings.CutPrefix(word, credentials+"/"); ok {
			require.True(t, loaded[name], name)
			delete(loaded, name)
		}
	}
	require.Empty(t, loaded, "loaded and not used")
	require.True(t, filepath.IsAbs(words[0]))
	command := serves(t, words[1:], nil)
	key, err := command.adminKey()
	require.NoError(t, err)
	require.Equal(t, "a-key-of-a-credential", key)
	// The store stands in the folder that systemd makes for it: /var/lib is %S.
	require.Equal(t, []string{"portalhook"}, unit["StateDirectory"])
	require.True(t, strings.HasPrefix(command.Store, "sqlite:/var/lib/portalhook/"))
	seconds, err := strconv.Atoi(unit["TimeoutStopSec"][0])
	require.NoError(t, err)
	requireTimeToEnd(t, seconds)
	require.Equal(t, []string{strconv.Itoa(exitUsage)}, unit["RestartPreventExitStatus"])
	// What it may use of the machine's memory it reads in /proc/meminfo.
	require.Equal(t, []string{"all"}, unit["ProcSubset"])
}

// worstExposure is the highest mark that systemd may give the unit, in tenths: 10 is no protection, 0 is all there is.
const worstExposure = 20

// systemd understands each line of the unit, and finds that it gives little away.
func TestUnitBySystemd(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze here; make test says so")
	}
	program, err := os.Executable()
	require.NoError(t, err)
	text := strings.Replace(string(deployFile(t, "portalhook.service")), "ExecStart=/usr/local/bin/portalhook ", "ExecStart="+program+" ", 1)
	require.Contains(t, text, program)
	path := filepath.Join(t.TempDir(), "portalhook.service")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	out, err := exec.Command(analyze, "verify", "--man=no", path).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NotContains(t, string(out), filepath.Base(path)+":", "a line that systemd ignores")
	out, err = exec.Command(analyze, "security", "--no-pager", "--offline=yes", "--threshold="+strconv.Itoa(worstExposure), path).CombinedOutput()
	require.NoError(t, err, "%s", out)
}
