package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// isTerminal reports whether w is a terminal that somebody may be looking at.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// paint colours text, or leaves it as it is.
type paint bool

// paintFor paints on a terminal only, and not where NO_COLOR is set (no-color.org) or the terminal is dumb.
func paintFor(w io.Writer) paint {
	return paint(isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb")
}

func (p paint) wrap(code, text string) string {
	if !p {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p paint) green(text string) string { return p.wrap("32", text) }
func (p paint) red(text string) string   { return p.wrap("31", text) }
func (p paint) bold(text string) string  { return p.wrap("1", text) }
func (p paint) dim(text string) string   { return p.wrap("2", text) }
