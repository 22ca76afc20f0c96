// Package web is the HTTP edge: the APIs and the console.
package web
