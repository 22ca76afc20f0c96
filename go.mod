module portalhook

go 1.26
