package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

//go:embed static
var staticFiles embed.FS

// styleSheet is all style sheets of static/, joined in the order of their names.
const styleSheet = "console.css"

// assets are the files that pages load. The hash of its content stands in the path of each, so that a browser keeps it for ever.
type assets struct {
	root  string
	files map[string]asset // by hash/name
	paths map[string]string
}

type asset struct {
	name    string
	content []byte
}

func readAssets(root string) (*assets, error) {
	a := &assets{root: root, files: make(map[string]asset), paths: make(map[string]string)}
	entries, err := fs.ReadDir(staticFiles, "static")
	if err != nil {
		return nil, fmt.Errorf("read static files: %w", err)
	}
	var styles bytes.Buffer
	for _, entry := range entries {
		content, err := staticFiles.ReadFile(path.Join("static", entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("read static files: %w", err)
		}
		if strings.HasSuffix(entry.Name(), ".css") {
			styles.Write(content)
			continue
		}
		a.add(entry.Name(), content)
	}
	a.add(styleSheet, styles.Bytes())
	return a, nil
}

func (a *assets) add(name string, content []byte) {
	sum := sha256.Sum256(content)
	key := hex.EncodeToString(sum[:8]) + "/" + name
	a.files[key] = asset{name: name, content: content}
	a.paths[name] = a.root + "/static/" + key
}

// path is the address of a file; a name that there is not is an error of a template.
func (a *assets) path(name string) (string, error) {
	address, ok := a.paths[name]
	if !ok {
		return "", fmt.Errorf("there is no static file %s", name)
	}
	return address, nil
}

// serve answers a request for a file; false when it is for something else.
func (a *assets) serve(w http.ResponseWriter, r *http.Request) bool {
	key, ok := strings.CutPrefix(r.URL.Path, "/console/static/")
	if !ok || !isSafe(r.Method) {
		return false
	}
	file, ok := a.files[key]
	if !ok {
		return false
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, file.name, time.Time{}, bytes.NewReader(file.content))
	return true
}
