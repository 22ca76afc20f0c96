package delivery

// RetryAfter lets black-box tests reach the parser.
var RetryAfter = retryAfter

// NewTestClock is a clock on given ones.
var NewTestClock = newClock

// Heard is what is asked before anything is told.
func (t *Tail) Heard() bool { return t.heard() }
