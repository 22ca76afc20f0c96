// Package web is the HTTP edge: it authenticates, reads requests, and writes answers.
package web
