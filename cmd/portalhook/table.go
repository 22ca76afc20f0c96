package main

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"
)

// table is text in aligned columns. The cells are plain, whatever they are given; colour is put on whole cells, outside their width.
type table struct {
	header []string
	rows   [][]cell
}

// cell is a piece of a row, and how it is coloured.
type cell struct {
	text  string
	paint func(string) string // nil: not at all
}

func (t *table) add(texts ...string) {
	row := make([]cell, len(texts))
	for i, text := range texts {
		row[i] = cell{text: text}
	}
	t.rows = append(t.rows, row)
}

const columnGap = "  "

// onOneLine makes a text safe for a cell: it neither ends the row nor moves the cursor.
func onOneLine(text string) string {
	return strings.NewReplacer("\n", `\u000a`, "\t", `\u0009`).Replace(printable(text))
}

// print writes the table. No line ends in blanks; the last column is not filled up.
func (t *table) print(w io.Writer, p paint) error {
	widths := make([]int, len(t.header))
	header := make([]cell, len(t.header))
	for i, name := range t.header {
		header[i] = cell{text: name, paint: p.bold}
	}
	rows := append([][]cell{header}, t.rows...)
	for _, row := range rows {
		for i := range row {
			c := &row[i]
			c.text = onOneLine(c.text)
			widths[i] = max(widths[i], utf8.RuneCountInString(c.text))
		}
	}
	var b bytes.Buffer
	for _, row := range rows {
		blanks := 0 // owed before the next text
		for i, c := range row {
			if c.text != "" {
				b.WriteString(strings.Repeat(" ", blanks))
				blanks = 0
				if c.paint != nil {
					b.WriteString(c.paint(c.text))
				} else {
					b.WriteString(c.text)
				}
			}
			blanks += widths[i] - utf8.RuneCountInString(c.text) + len(columnGap)
		}
		b.WriteByte('\n')
	}
	_, err := w.Write(b.Bytes())
	return err
}
