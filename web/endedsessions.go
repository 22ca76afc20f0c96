package web

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// endedTopic is what the texts begin with that tell other servers of the store of a session of the console that was signed out of.
const endedTopic = "ended "

// tellTimeout is how long somebody who signs out waits for others to be told.
const tellTimeout = 2 * time.Second

// tellEnded has a session end on the other servers, too. One that cannot be told, or is not there, takes a copy of its cookie until it is too old.
func (s *Server) tellEnded(ctx context.Context, id [16]byte, until time.Time) {
	if s.config.Others == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTimeout)
	defer cancel()
	if err := s.config.Others.Tell(ctx, []string{fmt.Sprintf("%s%x %d", endedTopic, id, until.UnixMilli())}); err != nil {
		s.log.WarnContext(ctx, "other servers do not hear of a session that has ended", "err", err)
	}
}

// hearEnded takes in what tellEnded told.
func (s *Server) hearEnded(text string) {
	name, date, _ := strings.Cut(text, " ")
	raw, err := hex.DecodeString(name)
	until, wrong := strconv.ParseInt(date, 10, 64)
	if err == nil && wrong == nil && len(raw) == 16 {
		s.console.End([16]byte(raw), time.UnixMilli(until))
	}
}
