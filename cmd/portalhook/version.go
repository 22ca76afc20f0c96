package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"portalhook/storage"
)

type versionCommand struct{}

// Run prints what this program was built from.
func (versionCommand) Run(std streams) error {
	_, err := fmt.Fprintf(std.out, "portalhook %s\n%s %s/%s, SQLite %s\n",
		version(), runtime.Version(), runtime.GOOS, runtime.GOARCH, storage.SQLiteVersion())
	return err
}

// version is the module's version and, where the build knows it, the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	text := info.Main.Version
	if text == "" {
		text = "(devel)"
	}
	var revision, modified string
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			revision = setting.Value
		case "vcs.modified":
			if setting.Value == "true" {
				modified = ", with changes"
			}
		}
	}
	const shortRevision = 12
	if len(revision) > shortRevision {
		revision = revision[:shortRevision]
	}
	if revision != "" {
		text += " (commit " + revision + modified + ")"
	}
	return text
}
