package delivery

// RetryAfter lets black-box tests reach the parser.
var RetryAfter = retryAfter

// NewTestClock is a clock on given ones.
var NewTestClock = newClock
