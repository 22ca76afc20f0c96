package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// deployFolder is where the files are that people run the server by.
const deployFolder = "../../docs/deploy"

func deployFile(tb testing.TB, name string) []byte {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(deployFolder, name))
	require.NoError(tb, err)
	return text
}

// commandLineWords gives the variables of all commands, and the flags of each by its name.
func commandLineWords(tb testing.TB) (variables map[string]bool, flags map[string]map[string]bool) {
	tb.Helper()
	parser, err := kong.New(new(commandLine), kong.Name("portalhook"), kong.NoDefaultHelp())
	require.NoError(tb, err)
	variables, flags = map[string]bool{}, map[string]map[string]bool{}
	require.NoError(tb, kong.Visit(parser.Model.Node, func(node kong.Visitable, next kong.Next) error {
		if command, ok := node.(*kong.Node); ok {
			words := map[string]bool{"help": true}
			for _, flag := range command.Flags {
				words[flag.Name] = true
				for _, variable := range flag.Envs {
					variables[variable] = true
				}
			}
			flags[strings.TrimPrefix(command.FullPath(), "portalhook ")] = words
		}
		return next(nil)
	}))
	return variables, flags
}

var (
	variableWord = regexp.MustCompile(`PORTALHOOK_[A-Z_]+`)
	flagWord     = regexp.MustCompile(`--([a-z][a-z-]*)`)
	commandWord  = regexp.MustCompile(`(?:^|[\s"/\x60])portalhook ((?:[a-z][a-z-]*(?: |$))*)([^\x60]*)`)
)

// What the files and the page on deploying name of variables, commands and flags is there.
func TestDeploymentNamesWhatThereIs(t *testing.T) {
	variables, flags := commandLineWords(t)
	files := []string{"../../docs/deploying.md"}
	require.NoError(t, filepath.Walk(deployFolder, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			files = append(files, path)
		}
		return err
	}))
	require.Greater(t, len(files), 15)
	named := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, variable := range variableWord.FindAllString(string(text), -1) {
			require.True(t, variables[variable] || strings.HasSuffix(variable, "_"), "%s: %s", file, variable)
		}
		for line := range strings.Lines(string(text)) {
			line, _, _ = strings.Cut(line, " #")
			command := commandWord.FindStringSubmatch(strings.TrimSpace(line))
			if command == nil || regexp.MustCompile(`^(docker|helm|kubectl) `).MatchString(line) {
				continue // their flags
			}
			words := strings.Fields(command[1])
			for len(words) > 0 && flags[strings.Join(words, " ")] == nil {
				words = words[:len(words)-1] // the rest are arguments
			}
			for _, flag := range flagWord.FindAllStringSubmatch(command[2], -1) {
				require.NotEmpty(t, words, "%s: no command: %s", file, line)
				require.True(t, flags[strings.Join(words, " ")][flag[1]], "%s: no flag --%s: %s", file, flag[1], line)
				named++
			}
		}
	}
	require.Greater(t, named, 3)
}

// unsetVariables lets no variable of the process that runs the tests decide.
func unsetVariables(t *testing.T) {
	t.Helper()
	variables, _ := commandLineWords(t)
	for variable := range variables {
		t.Setenv(variable, "") // so that it is put back
		require.NoError(t, os.Unsetenv(variable))
	}
}

// serves reads a command line that a file runs the server by, with the variables that it sets.
func serves(t *testing.T, arguments []string, variables map[string]string) *serveCommand {
	t.Helper()
	unsetVariables(t)
	known, _ := commandLineWords(t)
	for variable, value := range variables {
		require.True(t, known[variable], variable)
		t.Setenv(variable, value)
	}
	require.NotEmpty(t, arguments)
	require.Equal(t, "serve", arguments[0])
	command, err := parsed(arguments[1:]...)
	require.NoError(t, err)
	return command
}

// The settings that the image and the unit begin with are taken, and are what their other files count on.
func TestDeployedSettings(t *testing.T) {
	unsetVariables(t)
	for name, store := range map[string]string{"container.yaml": "sqlite:/data/portalhook.db", "portalhook.yaml": "sqlite:/var/lib/portalhook/portalhook.db"} {
		command, err := parsed("--config", filepath.Join(deployFolder, name))
		require.NoError(t, err)
		_, err = command.config(streams{out: io.Discard, err: io.Discard})
		require.NoError(t, err, name)
		require.Equal(t, store, command.Store, name)
	}
	// What is only suggested is right as well.
	text := regexp.MustCompile(`(?m)^# ([a-z-]+: )`).ReplaceAll(deployFile(t, "portalhook.yaml"), []byte("$1"))
	file, err := parseConfig(text, serveFlags(t))
	require.NoError(t, err)
	require.Len(t, file, 8)
}

// composition is what is read of a Compose file. Others of its members are not known, so that a wrong word is found.
type composition struct {
	Name     string
	Node     any `yaml:"x-node"`
	Services map[string]composed
	Networks map[string]any
	Volumes  map[string]struct{}
	Secrets  map[string]struct{ File string }
}

type composed struct {
	Image       string
	Build       struct{ Context, Dockerfile string }
	Command     []string
	Environment map[string]string
	Secrets     []string
	Ports       []string
	Volumes     []string
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	ReadOnly    bool                                  `yaml:"read_only"`
	Tmpfs       []string
	CapDrop     []string `yaml:"cap_drop"`
	SecurityOpt []string `yaml:"security_opt"`
	Ulimits     map[string]int
	StopSignal  string        `yaml:"stop_signal"`
	StopGrace   time.Duration `yaml:"stop_grace_period"`
	ShmSize     string        `yaml:"shm_size"`
	Restart     string
	Healthcheck struct {
		Test              []string
		Interval, Timeout time.Duration
		Retries           int
	}
}

// A Compose file's services know what they mount and wait for, hold the server as the image is meant to be held, and give it time to end.
func TestCompose(t *testing.T) {
	for file, nodes := range map[string][]string{"compose.yaml": {"portalhook"}, "compose.postgres.yaml": {"node-a", "node-b"}} {
		t.Run(file, func(t *testing.T) {
			decoder := yaml.NewDecoder(bytes.NewReader(deployFile(t, file)))
			decoder.KnownFields(true)
			var all composition
			require.NoError(t, decoder.Decode(&all))
			for name, service := range all.Services {
				for _, secret := range service.Secrets {
					require.True(t, strings.HasPrefix(all.Secrets[secret].File, "./secrets/"), "%s: %s", name, secret)
				}
				for _, mounted := range service.Volumes {
					source, _, _ := strings.Cut(mounted, ":")
					if strings.HasPrefix(source, "./") {
						deployFile(t, source)
					} else {
						require.Contains(t, all.Volumes, source, name)
					}
				}
				for other := range service.DependsOn {
					require.Contains(t, all.Services, other, name)
				}
				require.NotContains(t, strings.Join(service.Ports, " "), "0.0.0.0")
				require.Equal(t, "unless-stopped", service.Restart)
			}
			for _, name := range nodes {
				service := all.Services[name]
				require.FileExists(t, filepath.Join(deployFolder, service.Build.Context, service.Build.Dockerfile))
				require.True(t, service.ReadOnly)
				require.Equal(t, []string{"ALL"}, service.CapDrop)
				require.Equal(t, []string{"no-new-privileges:true"}, service.SecurityOpt)
				require.Greater(t, service.StopGrace, drainTimeout)
				command := serves(t, service.Command, service.Environment)
				for _, path := range []string{command.AdminKeyFile, command.KeyFile} {
					if path != "" {
						require.Contains(t, service.Secrets, strings.TrimPrefix(path, "/run/secrets/"))
					}
				}
				require.NotEmpty(t, command.AdminKeyFile)
				if isShared := len(nodes) > 1; isShared {
					require.NotEmpty(t, command.KeyFile)
					require.True(t, strings.HasPrefix(command.Store, "postgres://portalhook@postgres/"))
					require.Contains(t, command.Store, "passfile=/run/secrets/pgpass")
					require.Contains(t, string(deployFile(t, "haproxy.cfg")), "\n    server "+name+" "+name+":8080\n")
				} else {
					require.True(t, slices.ContainsFunc(service.Volumes, func(v string) bool { return strings.HasSuffix(v, ":/data") }))
				}
			}
		})
	}
}

// requireTimeToEnd holds the seconds that a file gives the server to end to what it takes.
func requireTimeToEnd(t *testing.T, seconds int) {
	t.Helper()
	require.Greater(t, time.Duration(seconds)*time.Second, drainTimeout)
}
