package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// chartFolder holds the Helm chart. Its templates are rendered here by what Helm's engine is made of, text/template and sprig, with the few
// functions that Helm adds and the chart uses: the engine itself would bring Kubernetes' libraries along.
const chartFolder = deployFolder + "/helm/portalhook"

// chartWith renders the chart with values laid over its own: what each file makes.
func chartWith(t *testing.T, over string) (map[string]string, error) {
	t.Helper()
	var values, mine map[string]any
	require.NoError(t, yaml.Unmarshal(deployFile(t, "helm/portalhook/values.yaml"), &values))
	require.NoError(t, yaml.Unmarshal([]byte(over), &mine))
	lay(values, mine)
	if err := fitsSchema(t, values); err != nil {
		return nil, err
	}
	var about struct{ Name, Version, AppVersion string }
	var chart map[string]string
	require.NoError(t, yaml.Unmarshal(deployFile(t, "helm/portalhook/Chart.yaml"), &chart))
	about.Name, about.Version, about.AppVersion = chart["name"], chart["version"], chart["appVersion"]

	templates := template.New("").Option("missingkey=zero").Funcs(sprig.TxtFuncMap())
	templates.Funcs(template.FuncMap{
		"include": func(name string, data any) (string, error) {
			var b strings.Builder
			err := templates.ExecuteTemplate(&b, name, data)
			return b.String(), err
		},
		"required": func(message string, value any) (any, error) {
			if value == nil || value == "" {
				return nil, errors.New(message)
			}
			return value, nil
		},
		"toYaml": func(value any) (string, error) {
			text, err := yaml.Marshal(value)
			return strings.TrimSuffix(string(text), "\n"), err
		},
	})
	files, err := filepath.Glob(chartFolder + "/templates/*")
	require.NoError(t, err)
	_, err = templates.ParseFiles(files...)
	require.NoError(t, err)
	rendered := map[string]string{}
	for _, file := range files {
		name := filepath.Base(file)
		if strings.HasPrefix(name, "_") {
			continue
		}
		var b strings.Builder
		if err := templates.ExecuteTemplate(&b, name, map[string]any{
			"Values": values, "Chart": about, "Release": map[string]any{"Name": "hooks", "Namespace": "portals", "Service": "Helm"},
		}); err != nil {
			return nil, err
		}
		if text := strings.TrimSpace(b.String()); text != "" {
			rendered[name] = text
		}
	}
	return rendered, nil
}

// lay puts values over others, map by map.
func lay(under, over map[string]any) {
	for key, value := range over {
		deep, isMap := value.(map[string]any)
		below, isBelow := under[key].(map[string]any)
		if isMap && isBelow {
			lay(below, deep)
		} else {
			under[key] = value
		}
	}
}

// fitsSchema holds values to the chart's schema, as Helm does before it renders.
func fitsSchema(t *testing.T, values map[string]any) error {
	t.Helper()
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(deployFile(t, "helm/portalhook/values.schema.json")))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("values.schema.json", schema))
	compiled, err := compiler.Compile("values.schema.json")
	require.NoError(t, err)
	text, err := json.Marshal(values)
	require.NoError(t, err)
	plain, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	require.NoError(t, err)
	return compiled.Validate(plain)
}

// resource is what is read of any object of Kubernetes'.
type resource struct {
	Kind     string
	Metadata struct {
		Name   string
		Labels map[string]string
	}
	Data map[string]string
	Spec struct {
		Replicas *int
		Strategy struct {
			Type          string
			RollingUpdate struct {
				MaxUnavailable *int `yaml:"maxUnavailable"`
				MaxSurge       *int `yaml:"maxSurge"`
			} `yaml:"rollingUpdate"`
		}
		MaxUnavailable any `yaml:"maxUnavailable"`
		Selector       any
		Template       struct {
			Metadata struct{ Labels, Annotations map[string]string }
			Spec     podSpec
		}
		Rules []struct {
			HTTP struct{ Paths []struct{ Path string } }
		}
	}
}

type podSpec struct {
	Grace      int `yaml:"terminationGracePeriodSeconds"`
	Security   any `yaml:"securityContext"`
	Containers []struct {
		Image string
		Args  []string
		Env   []struct {
			Name  string
			Value string
		}
		StartupProbe   probe `yaml:"startupProbe"`
		LivenessProbe  probe `yaml:"livenessProbe"`
		ReadinessProbe probe `yaml:"readinessProbe"`
		Lifecycle      struct {
			PreStop struct{ Sleep struct{ Seconds int } } `yaml:"preStop"`
		}
		Resources struct{ Requests, Limits map[string]string }
		Security  struct {
			ReadOnly   bool                    `yaml:"readOnlyRootFilesystem"`
			Escalation *bool                   `yaml:"allowPrivilegeEscalation"`
			Caps       struct{ Drop []string } `yaml:"capabilities"`
		} `yaml:"securityContext"`
		Mounts []struct {
			Name string
			Path string `yaml:"mountPath"`
		} `yaml:"volumeMounts"`
	}
	Volumes []map[string]any
}

type probe struct {
	Get struct{ Path, Port, Scheme string } `yaml:"httpGet"`
}

// objectsOf reads what was rendered, but for the notes.
func objectsOf(t *testing.T, rendered map[string]string) map[string]resource {
	t.Helper()
	objects := map[string]resource{}
	for file, text := range rendered {
		if file == "NOTES.txt" {
			continue
		}
		decoder := yaml.NewDecoder(strings.NewReader(text))
		var found resource
		require.NoError(t, decoder.Decode(&found), "%s:\n%s", file, text)
		require.ErrorIs(t, decoder.Decode(new(any)), io.EOF, file)
		require.NotContains(t, objects, found.Kind)
		require.Equal(t, "hooks-portalhook", found.Metadata.Name)
		objects[found.Kind] = found
	}
	return objects
}

const (
	onSQLite   = `{adminKeySecret: {name: admin}, config: {max-webhooks: 500, public-url: https://hooks.example.com/, allow-target: [10.0.0.0/8]}}`
	onPostgres = `{store: postgres, adminKeySecret: {name: admin}, keyFileSecret: {name: keys}, postgres: {replicas: 3, urlSecret: {name: database}},
		env: [{name: PORTALHOOK_EGRESS_PROXY, value: "http://proxy.example.com:3128"}], podLabels: {team: gis}, nodeSelector: {disk: fast},
		config: {public-url: "https://portal.example.com/hooks/"}, ingress: {enabled: true, host: portal.example.com, tlsSecret: tls}, serviceMonitor: {enabled: true}}`
)

// The chart runs the server by a command line, variables and a file of settings that it takes, which name what is mounted; it is asked for its
// health where it answers, and has time to end.
func TestChart(t *testing.T) {
	for name, values := range map[string]string{"sqlite": onSQLite, "postgres": onPostgres} {
		t.Run(name, func(t *testing.T) {
			rendered, err := chartWith(t, values)
			require.NoError(t, err)
			objects := objectsOf(t, rendered)
			deployment := objects["Deployment"].Spec
			pod := deployment.Template.Spec
			require.Len(t, pod.Containers, 1)
			container := pod.Containers[0]
			folder := t.TempDir()
			settings := filepath.Join(folder, "portalhook.yaml")
			require.NoError(t, os.WriteFile(settings, []byte(objects["ConfigMap"].Data["portalhook.yaml"]), 0o600))
			arguments := strings.Split(strings.ReplaceAll(strings.Join(container.Args, "\n"), "/etc/portalhook/portalhook.yaml", settings), "\n")
			require.Contains(t, arguments, settings)
			variables := map[string]string{}
			for _, variable := range container.Env {
				variables[variable.Name] = variable.Value
			}
			command := serves(t, arguments, variables)

			require.Equal(t, "0.0.0.0:8080", command.Listen)
			require.Equal(t, "json", command.LogFormat)
			mounted := map[string]string{}
			for _, mount := range container.Mounts {
				mounted[mount.Path] = mount.Name
			}
			for _, path := range []string{command.AdminKeyFile, command.KeyFile, strings.TrimPrefix(command.Store, "sqlite:"), "/tmp/x", "/etc/portalhook/x"} {
				if path != "" {
					require.Contains(t, mounted, filepath.Dir(path))
				}
			}
			volumes := map[string]map[string]any{}
			for _, volume := range pod.Volumes {
				volumes[volume["name"].(string)] = volume
			}
			for _, volume := range mounted {
				require.Contains(t, volumes, volume)
			}
			require.Contains(t, fmt.Sprint(volumes["secrets"]), "path:admin-key")
			require.Equal(t, "/run/secrets/portalhook/admin-key", command.AdminKeyFile)

			require.Equal(t, "/healthz", container.LivenessProbe.Get.Path)
			require.Equal(t, "/healthz", container.StartupProbe.Get.Path)
			require.Equal(t, "/readyz", container.ReadinessProbe.Get.Path)
			require.Positive(t, container.Lifecycle.PreStop.Sleep.Seconds)
			requireTimeToEnd(t, pod.Grace-container.Lifecycle.PreStop.Sleep.Seconds)
			require.NotEmpty(t, container.Resources.Requests["cpu"])
			require.NotEmpty(t, container.Resources.Requests["memory"])
			require.True(t, container.Security.ReadOnly)
			require.False(t, *container.Security.Escalation)
			require.Equal(t, []string{"ALL"}, container.Security.Caps.Drop)
			require.Contains(t, fmt.Sprint(pod.Security), "runAsNonRoot:true")
			require.Contains(t, fmt.Sprint(pod.Security), fmt.Sprint("runAsUser:", imageUser))

			// Who selects the pods finds them.
			labels := deployment.Template.Metadata.Labels
			for kind, found := range objects {
				if found.Spec.Selector == nil {
					continue
				}
				selector := found.Spec.Selector.(map[string]any)
				if match, ok := selector["matchLabels"].(map[string]any); ok {
					selector = match
				}
				require.NotEmpty(t, selector)
				where := labels
				if kind == "ServiceMonitor" {
					where = objects["Service"].Metadata.Labels
				}
				for key, value := range selector {
					require.Equal(t, value, where[key], kind)
				}
			}

			kinds := maps.Clone(objects)
			for _, kind := range []string{"ConfigMap", "Deployment", "Service"} {
				delete(kinds, kind)
			}
			if name == "sqlite" {
				require.Equal(t, 1, *deployment.Replicas)
				require.Equal(t, "Recreate", deployment.Strategy.Type)
				require.Equal(t, "sqlite:/data/portalhook.db", command.Store)
				require.Equal(t, 500, command.MaxWebhooks)
				require.Contains(t, fmt.Sprint(volumes["data"]), "claimName:hooks-portalhook")
				require.Contains(t, kinds, "PersistentVolumeClaim")
				require.Len(t, kinds, 1)
				return
			}
			require.Equal(t, 3, *deployment.Replicas)
			require.Equal(t, "RollingUpdate", deployment.Strategy.Type)
			require.Zero(t, *deployment.Strategy.RollingUpdate.MaxUnavailable)
			require.Positive(t, *deployment.Strategy.RollingUpdate.MaxSurge)
			require.Contains(t, variables, "PORTALHOOK_STORE")
			require.Contains(t, rendered["deployment.yaml"], "secretKeyRef: {name: database, key: url}")
			require.Equal(t, "/run/secrets/portalhook/key-file", command.KeyFile)
			require.Contains(t, fmt.Sprint(volumes["secrets"]), "path:key-file")
			require.Equal(t, 1, objects["PodDisruptionBudget"].Spec.MaxUnavailable)
			require.Equal(t, "gis", labels["team"])
			require.Contains(t, kinds, "ServiceMonitor")
			require.Len(t, kinds, 3)
			requireAllPaths(t, objects["Ingress"], "/hooks")
		})
	}
}

// requireAllPaths holds an ingress to the server's own routes: all but /metrics, which needs no key.
func requireAllPaths(t *testing.T, ingress resource, prefix string) {
	t.Helper()
	routes := string(deployRoutes(t))
	served := map[string]bool{prefix + "/receiver": true} // delivery.InsidePath
	for _, found := range regexp.MustCompile(`(?:path: |Root += )"(/[a-z]+)`).FindAllStringSubmatch(routes, -1) {
		served[prefix+found[1]] = true
	}
	require.True(t, served[prefix+"/metrics"])
	require.True(t, served[prefix+"/sharing"])
	delete(served, prefix+"/metrics")
	led := map[string]bool{}
	for _, path := range ingress.Spec.Rules[0].HTTP.Paths {
		led[path.Path] = true
	}
	require.Equal(t, served, led)
}

// deployRoutes are the sources that name the first words of the paths that are served.
func deployRoutes(t *testing.T) []byte {
	t.Helper()
	routes := readRoot(t, "web/server.go")
	_, routes, _ = bytes.Cut(routes, []byte("func (s *Server) routes()"))
	routes, _, _ = bytes.Cut(routes, []byte(`[]string{"/api/v1/webhooks"`)) // below it they are parts of paths
	return append(routes, readRoot(t, "web/surface.go")...)
}

// What does not go together is refused before anything is changed, with a sentence that says what is missing.
func TestChartRefuses(t *testing.T) {
	for values, want := range map[string]string{
		`{}`: "adminKeySecret.name is",
		`{adminKeySecret: {name: a}, store: postgres}`:                                   "postgres.urlSecret.name is",
		`{adminKeySecret: {name: a}, store: postgres, postgres: {urlSecret: {name: u}}}`: "keyFileSecret.name is",
		`{adminKeySecret: {name: a}, drainSeconds: 30}`:                                  "terminationGracePeriodSeconds is at least",
		`{adminKeySecret: {name: a}, ingress: {enabled: true}}`:                          "ingress.host is",
		`{adminKeySecret: {name: a}, store: mysql}`:                                      "/store",
		`{adminKeySecret: {name: a}, config: {store: "sqlite:b.db"}}`:                    "/config",
		`{adminKeySecret: {name: a}, replicas: 2}`:                                       "replicas",
		`{adminKeySecret: {name: a}, terminationGracePeriodSeconds: 20}`:                 "/terminationGracePeriodSeconds",
	} {
		_, err := chartWith(t, values)
		require.ErrorContains(t, err, want, values)
	}
	// One node needs no budget for drains: it would only stop them.
	rendered, err := chartWith(t, strings.Replace(onPostgres, "replicas: 3", "replicas: 1", 1))
	require.NoError(t, err)
	require.NotContains(t, objectsOf(t, rendered), "PodDisruptionBudget")
	rendered, err = chartWith(t, `{adminKeySecret: {name: a}, sqlite: {existingClaim: mine}}`)
	require.NoError(t, err)
	require.NotContains(t, objectsOf(t, rendered), "PersistentVolumeClaim")
	require.Contains(t, rendered["deployment.yaml"], "claimName: mine")
	require.Contains(t, rendered["NOTES.txt"], "one node")
}
