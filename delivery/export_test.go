package delivery

// RetryAfter lets black-box tests reach the parser.
var RetryAfter = retryAfter
