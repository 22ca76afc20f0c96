package main

import (
	"bufio"
	"context"
	"debug/elf"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// imageUser is whom the image runs as.
const imageUser = 65532

// instructionsOf are the Dockerfile's lines, but for comments, by stage.
func instructionsOf(t *testing.T) (build, final []string) {
	t.Helper()
	for line := range strings.Lines(string(deployFile(t, "Dockerfile"))) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line == "FROM scratch":
			final = append(final, line)
		case final != nil:
			final = append(final, line)
		default:
			build = append(build, line)
		}
	}
	return build, final
}

// wordsOf is the JSON list after an instruction.
func wordsOf(t *testing.T, instructions []string, name string) (words []string) {
	t.Helper()
	for _, line := range instructions {
		if rest, ok := strings.CutPrefix(line, name); ok {
			require.Nil(t, words, "%s stands twice", name)
			require.NoError(t, json.Unmarshal([]byte(rest[strings.Index(rest, "["):]), &words), line)
		}
	}
	require.NotEmpty(t, words, name)
	return words
}

// TestImage builds the image's program by the Dockerfile's own command, and runs it as the image would be run, without a container: alone in
// its root, as its user where the tests may become that, with the image's settings, and asked for its health by the image's own check.
func TestImage(t *testing.T) {
	build, final := instructionsOf(t)
	goVersion := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(readRoot(t, "go.mod"))
	require.Equal(t, "FROM golang:"+string(goVersion[1])+"-bookworm AS build", build[0])
	command := ""
	for _, line := range build {
		if strings.Contains(line, " go build ") {
			command = strings.TrimPrefix(line, "RUN ")
		}
	}
	root := t.TempDir()
	program := filepath.Join(root, "portalhook")
	require.Contains(t, command, " -o /out/portalhook ")
	compile := exec.Command("sh", "-c", strings.Replace(command, " -o /out/portalhook ", " -o '"+program+"' ", 1))
	compile.Dir = filepath.Join("..", "..")
	out, err := compile.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NotContains(t, string(out), "warning", "the linker finds what a static program cannot do")
	file, err := elf.Open(program)
	require.NoError(t, err)
	defer file.Close()
	libraries, err := file.ImportedLibraries()
	require.NoError(t, err)
	require.Empty(t, libraries)
	for _, segment := range file.Progs {
		require.NotEqual(t, elf.PT_INTERP, segment.Type, "it asks for a loader, and the image has none")
	}

	require.Contains(t, final, "USER 65532:65532")
	require.Contains(t, final, "COPY --from=build --chown=65532:65532 /out/data /data")
	require.Contains(t, final, "COPY docs/deploy/container.yaml /etc/portalhook/portalhook.yaml")
	require.Contains(t, final, "ENV PORTALHOOK_CONFIG=/etc/portalhook/portalhook.yaml")
	image := newRoot(t, root, program)
	entry := wordsOf(t, final, "ENTRYPOINT")
	server := image.command(t.Context(), append(entry, wordsOf(t, final, "CMD")...), "PORTALHOOK_CONFIG=/etc/portalhook/portalhook.yaml", "PORTALHOOK_LISTEN=127.0.0.1:0")
	logged, err := server.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	address := ""
	lines := bufio.NewScanner(logged)
	for address == "" && lines.Scan() {
		var line struct{ Address string }
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line), lines.Text())
		address = line.Address
	}
	require.NotEmpty(t, address)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, logged)
	}()
	check := wordsOf(t, final, "HEALTHCHECK")
	require.Equal(t, "CMD", regexp.MustCompile(`\bCMD\b`).FindString(strings.Join(final, "\n")))
	require.Equal(t, entry[0], check[0])
	out, err = image.command(t.Context(), check, "PORTALHOOK_SERVER=http://"+address).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, server.Process.Signal(syscall.SIGTERM))
	<-drained
	require.NoError(t, server.Wait())
	require.FileExists(t, filepath.Join(image.data, "portalhook.db"))
	require.Error(t, image.command(t.Context(), check, "PORTALHOOK_SERVER=http://"+address).Run())
}

func readRoot(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", name))
	require.NoError(t, err)
	return text
}

// imageRoot is a folder with what the image has.
type imageRoot struct {
	path, program, data string
	alone               bool // commands see nothing else
}

// newRoot furnishes the folder that the program was built into. Who is not root cannot make it the root of a process, and has the files where
// they are.
func newRoot(t *testing.T, root, program string) imageRoot {
	t.Helper()
	data := filepath.Join(root, "data")
	require.NoError(t, os.Mkdir(data, 0o700))
	image := imageRoot{path: root, program: program, data: data, alone: os.Geteuid() == 0}
	settings := deployFile(t, "container.yaml")
	if image.alone {
		require.NoError(t, os.Chown(data, imageUser, imageUser))
		require.NoError(t, os.Chmod(root, 0o755))
	} else {
		settings = []byte(strings.ReplaceAll(string(settings), "/data/", data+"/"))
	}
	folder := filepath.Join(root, "etc", "portalhook")
	require.NoError(t, os.MkdirAll(folder, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "portalhook.yaml"), settings, 0o644))
	return image
}

// command runs words of the Dockerfile's in the root, with these variables alone.
func (i imageRoot) command(ctx context.Context, words []string, variables ...string) *exec.Cmd {
	if !i.alone {
		command := exec.CommandContext(ctx, i.program, words[1:]...)
		for _, variable := range variables {
			command.Env = append(command.Env, strings.Replace(variable, "=/etc/", "="+i.path+"/etc/", 1))
		}
		command.Dir = i.data
		return command
	}
	command := exec.CommandContext(ctx, words[0], words[1:]...)
	command.Err = nil // it is looked for in the other root
	command.Env, command.Dir = variables, "/data"
	command.SysProcAttr = &syscall.SysProcAttr{Chroot: i.path, Credential: &syscall.Credential{Uid: imageUser, Gid: imageUser}}
	return command
}
