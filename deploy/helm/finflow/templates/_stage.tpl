{{/* The stages that are on, each with its defaults filled in and its name: JSON of a map. */}}
{{- define "finflow.stages" -}}
{{- $stages := dict -}}
{{- range $name, $own := .Values.stages -}}
{{- $stage := mergeOverwrite (deepCopy $.Values.defaults) (deepCopy ($own | default dict)) -}}
{{- if $stage.enabled -}}
{{- $_ := set $stage "name" $name -}}
{{- $_ := set $stage "service" ($stage.service | default $name) -}}
{{- if and (eq $stage.service "ingest") (not $stage.config) -}}
{{- fail (printf "stages.%s.config is empty: say what to read, such as feeds (docs/feeds.md), or leave the stage off" $name) -}}
{{- end -}}
{{- $_ := set $stage "group" (dig "group" $stage.group $stage.config) -}}
{{- $limit := 0 -}}
{{- range $stage.reads -}}
{{- $topic := index $.Values.topics.list . -}}
{{- if not $topic }}{{ fail (printf "stages.%s.reads: there is no topic %s in topics.list" $name .) }}{{ end -}}
{{- $limit = add $limit (int $topic.partitions) -}}
{{- end -}}
{{- $_ := set $stage "partitions" $limit -}}
{{- $asked := $stage.autoscaling.maxReplicas -}}
{{- if $stage.autoscaling.enabled -}}
{{- if $limit -}}
{{- if and $asked (gt (int $asked) (int $limit)) -}}
{{- fail (printf "stages.%s.autoscaling.maxReplicas is %d, but %s has %d partitions: a partition is read by one pod of a group, so more would have nothing to do. Set at most %d, or give the topic more partitions before it has data" $name (int $asked) (join ", " $stage.reads) (int $limit) (int $limit)) -}}
{{- end -}}
{{- $_ := set $stage "maxReplicas" ($asked | default $limit) -}}
{{- else if eq $stage.service "gateway" -}}
{{- $_ := set $stage "maxReplicas" ($asked | default 3) -}}
{{- else -}}
{{- fail (printf "stages.%s.autoscaling: nothing tells how many pods it needs, since it reads no topic with a group" $name) -}}
{{- end -}}
{{- if lt (int $stage.maxReplicas) (int $stage.autoscaling.minReplicas) -}}
{{- fail (printf "stages.%s.autoscaling: minReplicas %d is more than maxReplicas %d" $name (int $stage.autoscaling.minReplicas) (int $stage.maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $stages $name $stage -}}
{{- end -}}
{{- end -}}
{{- toJson $stages -}}
{{- end -}}

{{/* What the chart knows of a stage's settings; `config` of the values wins over it. dict "root" $ "stage" name "service" service */}}
{{- define "finflow.derived" -}}
{{- $values := .root.Values -}}
{{- $kafka := dict -}}
{{- $auth := $values.kafka.auth -}}
{{- if ne $auth "none" -}}
{{- $security := dict "protocol" (ternary "sasl_ssl" "ssl" (has $auth (list "scram" "iam"))) -}}
{{- if $values.kafka.caSecret }}{{ $_ := set $security "ca" "/secrets/kafka-ca/ca.crt" }}{{ end -}}
{{- if eq $auth "scram" -}}
{{- $_ := set $security "mechanism" "SCRAM-SHA-512" -}}
{{- $_ := set $security "username" (include "finflow.kafkaSecret" .) -}}
{{- $_ := set $security "password_file" "/secrets/kafka-user/password" -}}
{{- else if eq $auth "iam" -}}
{{- $_ := set $security "mechanism" "AWS_MSK_IAM" -}}
{{- $_ := set $security "region" $values.kafka.region -}}
{{- else if eq $auth "mtls" -}}
{{- $_ := set $security "cert" "/secrets/kafka-user/user.crt" -}}
{{- $_ := set $security "key" "/secrets/kafka-user/user.key" -}}
{{- end -}}
{{- $_ := set $kafka "security" $security -}}
{{- end -}}
{{- $derived := dict "admin" "0.0.0.0:9090" -}}
{{- if $kafka }}{{ $_ := set $derived "kafka" $kafka }}{{ end -}}
{{- if eq .service "gateway" }}{{ $_ := set $derived "http" "0.0.0.0:8080" }}{{ end -}}
{{- if and (eq .service "store") $values.local.s3.enabled -}}
{{- $_ := set $derived "s3" (dict "endpoint" (printf "http://%s-s3:9000" (include "finflow.fullname" .root)) "bucket" $values.local.s3.bucket) -}}
{{- end -}}
{{- toJson $derived -}}
{{- end -}}

{{/* The whole file of settings of a stage. dict "root" $ "stage" merged stage */}}
{{- define "finflow.config" -}}
{{- $derived := include "finflow.derived" (dict "root" .root "stage" .stage.name "service" .stage.service) | fromJson -}}
{{- $config := mergeOverwrite $derived (deepCopy .root.Values.config) (deepCopy (.stage.config | default dict)) -}}
{{- /* The release's own Kafka is there to be used: the address in the values is the default's. */ -}}
{{- if .root.Values.local.kafka.enabled }}{{ $_ := set $config "kafka" (mergeOverwrite (dig "kafka" dict $config) (dict "brokers" (include "finflow.brokers" .root))) }}{{ end -}}
{{- toPrettyJson $config -}}
{{- end -}}

{{/* Where the settings and the secrets of Kafka lie. dict "root" $ "config" ConfigMap "stage" name of the Kafka user's stage */}}
{{- define "finflow.volumes" -}}
- name: config
  configMap: {name: {{ .config }}}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- $kafka := .root.Values.kafka }}
{{- if has $kafka.auth (list "scram" "mtls") }}
- name: kafka-user
  secret:
    secretName: {{ include "finflow.kafkaSecret" . }}
    {{- if eq $kafka.auth "scram" }}
    items: [{key: {{ $kafka.passwordKey }}, path: password}]
    {{- end }}
{{- end }}
{{- if and (ne $kafka.auth "none") $kafka.caSecret }}
- name: kafka-ca
  secret:
    secretName: {{ $kafka.caSecret }}
    items: [{key: {{ $kafka.caKey }}, path: ca.crt}]
{{- end }}
{{- end -}}

{{/* Where the environment of a stage's pods, and of its jobs, comes from besides `env`. dict "root" $ "stage" stage */}}
{{- define "finflow.envFrom" -}}
{{- $full := include "finflow.fullname" .root }}
{{- if and (eq .stage.service "store") .root.Values.local.s3.enabled }}
- secretRef: {name: {{ $full }}-s3}
{{- end }}
{{- if .stage.secretEnv }}
- secretRef: {name: {{ $full }}-{{ .stage.name }}}
{{- end }}
{{- with .stage.envFrom }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "finflow.mounts" -}}
- {name: config, mountPath: /config, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- $kafka := .root.Values.kafka }}
{{- if has $kafka.auth (list "scram" "mtls") }}
- {name: kafka-user, mountPath: /secrets/kafka-user, readOnly: true}
{{- end }}
{{- if and (ne $kafka.auth "none") $kafka.caSecret }}
- {name: kafka-ca, mountPath: /secrets/kafka-ca, readOnly: true}
{{- end }}
{{- end -}}

{{- define "finflow.serviceAccount" -}}
{{- $account := .stage.serviceAccount -}}
{{- if $account.create -}}
{{ $account.name | default (printf "%s-%s" (include "finflow.fullname" .root) .stage.name) }}
{{- else -}}
{{ $account.name | default "default" }}
{{- end -}}
{{- end -}}

{{/* Labels of a stage's pods, and what selects them. dict "root" $ "stage" stage */}}
{{- define "finflow.stageSelector" -}}
{{ include "finflow.selector" .root }}
app.kubernetes.io/component: {{ .stage.name }}
{{- end -}}
