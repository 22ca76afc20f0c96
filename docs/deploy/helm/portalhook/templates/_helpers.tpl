{{- define "portalhook.name" -}}
{{- contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "portalhook.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "portalhook.labels" -}}
{{ include "portalhook.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- /* The file of settings: the values' own, and what the chart itself decides. */}}
{{- define "portalhook.config" -}}
{{- $own := dict "listen" "0.0.0.0:8080" "admin-key-file" "/run/secrets/portalhook/admin-key" }}
{{- if .Values.keyFileSecret.name }}{{ $_ := set $own "key-file" "/run/secrets/portalhook/key-file" }}{{ end }}
{{- if eq .Values.store "sqlite" }}{{ $_ := set $own "store" "sqlite:/data/portalhook.db" }}{{ end }}
{{- merge $own (deepCopy .Values.config) | toYaml }}
{{- end }}
