package web_test

import (
	"testing"

	"portalhook/storage/storagetest"
	"portalhook/web"
)

func TestReceiversInMemory(t *testing.T) { storagetest.TestReceivers(t, web.NewReceiversHere()) }
