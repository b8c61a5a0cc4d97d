{{/* Prefix of all names: at most 40 characters, so that `-<stage>` and what Kubernetes appends still fit. One that had to be
     cut carries a hash, or two long releases of one namespace would share their objects. */}}
{{- define "finflow.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := .Values.fullnameOverride | default (ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name)) -}}
{{- if gt (len $full) 40 -}}
{{- printf "%s-%s" ($full | trunc 33 | trimSuffix "-") ($full | sha256sum | trunc 6) -}}
{{- else -}}
{{- $full -}}
{{- end -}}
{{- end -}}

{{- define "finflow.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: finflow
{{ include "finflow.selector" . }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Release names are at most 53 characters; labels may have 63. */}}
{{- define "finflow.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* image: dict "root" $ "name" "finflow-store" */}}
{{- define "finflow.image" -}}
{{- $image := .root.Values.image -}}
{{- with $image.repository }}{{ . | trimSuffix "/" }}/{{ end }}{{ .name }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}

{{- define "finflow.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "finflow.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Addresses of Kafka: of the release's own where there is one. */}}
{{- define "finflow.brokers" -}}
{{- if .Values.local.kafka.enabled -}}
{{ include "finflow.fullname" . }}-kafka:9092
{{- else -}}
{{ dig "kafka" "brokers" "" .Values.config }}
{{- end -}}
{{- end -}}

{{/* The Secret of a stage's Kafka user: dict "root" $ "stage" name */}}
{{- define "finflow.kafkaSecret" -}}
{{ .root.Values.kafka.user | replace "{stage}" .stage }}
{{- end -}}
