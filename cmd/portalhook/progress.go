package main

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows on standard error how far a file has come, when that is a terminal and nothing else is printed there.
type progress struct {
	bar   *progressbar.ProgressBar // nil: nothing is shown
	bytes bool                     // the bar counts bytes read, else events
}

const progressInterval = 100 * time.Millisecond

// newProgress makes one for a file of size bytes (-1: unknown). Where lines are printed to a terminal, they would tear the bar apart:
// then there is none.
func newProgress(std streams, size int64, linesPrinted bool) progress {
	if !isTerminal(std.err) || linesPrinted && isTerminal(std.out) {
		return progress{}
	}
	options := []progressbar.Option{
		progressbar.OptionSetWriter(std.err), progressbar.OptionThrottle(progressInterval), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetDescription("emitting"), progressbar.OptionFullWidth(), progressbar.OptionEnableColorCodes(bool(paintFor(std.err))),
	}
	if size >= 0 {
		return progress{bar: progressbar.NewOptions64(size, append(options, progressbar.OptionShowBytes(true))...), bytes: true}
	}
	return progress{bar: progressbar.NewOptions64(-1, append(options, progressbar.OptionShowIts(), progressbar.OptionShowCount())...)}
}

// newCounted makes one of so many things that are counted elsewhere, such as the deliveries of a recovery.
func newCounted(std streams, total int, doing string) progress {
	if !isTerminal(std.err) {
		return progress{}
	}
	return progress{bar: progressbar.NewOptions(total, progressbar.OptionSetWriter(std.err), progressbar.OptionThrottle(progressInterval),
		progressbar.OptionClearOnFinish(), progressbar.OptionSetDescription(doing), progressbar.OptionFullWidth(), progressbar.OptionShowCount(),
		progressbar.OptionEnableColorCodes(bool(paintFor(std.err))))}
}

// reached moves it to n of the total, which may have grown.
func (p progress) reached(n, total int) {
	if p.bar != nil {
		p.bar.ChangeMax(max(n, total))
		_ = p.bar.Set(n) // a bar that cannot be drawn must not stop the work
	}
}

// reading counts what is read from in.
func (p progress) reading(in io.Reader) io.Reader {
	if p.bar == nil || !p.bytes {
		return in
	}
	return io.TeeReader(in, p.bar)
}

func (p progress) emitted() {
	if p.bar != nil && !p.bytes {
		_ = p.bar.Add(1) // a bar that cannot be drawn must not stop the work
	}
}

func (p progress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
