{{/* What goes before the names of all objects. */}}
{{- define "evenkeel.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The name of the webhook and of everything that is its alone. */}}
{{- define "evenkeel.webhook.name" -}}
{{ include "evenkeel.fullname" . }}-webhook
{{- end -}}

{{/*
The webhook configuration: another for each mode of tls, as each has another keeper of the caBundle. Under one name, a
change of mode would meet the former keeper: Helm 4 stops at the conflict, and replicas that are about to be replaced would
put their own bundle back.
*/}}
{{- define "evenkeel.webhook.configuration" -}}
{{ include "evenkeel.webhook.name" . }}{{ if ne .Values.tls.mode "self" }}-{{ .Values.tls.mode | kebabcase }}{{ end }}
{{- end -}}

{{/* The Secret that keeps the certificate authority. */}}
{{- define "evenkeel.webhook.secret" -}}
{{ include "evenkeel.webhook.name" . }}-ca
{{- end -}}

{{/* What tells the webhook's pods from all others; it can never change. */}}
{{- define "evenkeel.webhook.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: webhook
{{- end -}}

{{/* The labels of the webhook's objects. */}}
{{- define "evenkeel.webhook.labels" -}}
{{ include "evenkeel.webhook.selectorLabels" . }}
{{ include "evenkeel.originLabels" . }}
{{- end -}}

{{/* The name of the balancer and of everything that is its alone. */}}
{{- define "evenkeel.balancer.name" -}}
{{ include "evenkeel.fullname" . }}-balancer
{{- end -}}

{{/* The Secret that keeps the key by which instructions are signed. */}}
{{- define "evenkeel.balancer.secret" -}}
{{ include "evenkeel.balancer.name" . }}-key
{{- end -}}

{{/* The ConfigMap that shows its public half. */}}
{{- define "evenkeel.balancer.configMap" -}}
{{ include "evenkeel.balancer.name" . }}-keys
{{- end -}}

{{/* What tells the balancer's pods from all others; it can never change. */}}
{{- define "evenkeel.balancer.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: balancer
{{- end -}}

{{/* The labels of the balancer's objects. */}}
{{- define "evenkeel.balancer.labels" -}}
{{ include "evenkeel.balancer.selectorLabels" . }}
{{ include "evenkeel.originLabels" . }}
{{- end -}}

{{/* What tells the pod of `helm test` from all others. */}}
{{- define "evenkeel.test.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: test
{{- end -}}

{{/* The labels of objects that are for a monitoring system. */}}
{{- define "evenkeel.monitoring.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: monitoring
{{ include "evenkeel.originLabels" . }}
{{- end -}}

{{/* Where an object comes from: in the labels of all, in the selectors of none, as these change with each version. */}}
{{- define "evenkeel.originLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: {{ .Chart.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{/* REPOSITORY@DIGEST of an image, or REPOSITORY:TAG without a digest; call it with (list . .Values.webhook.image). */}}
{{- define "evenkeel.image" -}}
{{- $root := first . -}}
{{- $image := last . -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The name in the certificate: how API servers call the webhook. */}}
{{- define "evenkeel.webhook.serverName" -}}
{{ include "evenkeel.webhook.name" . }}.{{ .Release.Namespace }}.svc
{{- end -}}

{{/* The Secret whose certificate is served, where the webhook does not make its own. */}}
{{- define "evenkeel.webhook.tlsSecret" -}}
{{- if eq .Values.tls.mode "existing" -}}
{{ .Values.tls.existing.secretName }}
{{- else -}}
{{ include "evenkeel.webhook.name" . }}-tls
{{- end -}}
{{- end -}}

{{/* The kinds that are injected, as rules of what API servers look at. */}}
{{- define "evenkeel.webhook.rules" -}}
{{- $groups := dict "Pod" "" "Rollout" "argoproj.io" -}}
{{- range .Values.webhook.kinds }}
- apiGroups: [{{ if hasKey $groups . }}{{ get $groups . | quote }}{{ else }}apps{{ end }}]
  apiVersions: [{{ eq . "Rollout" | ternary "v1alpha1" "v1" }}]
  resources: [{{ lower . }}s]
  {{- /* The containers of a pod are settled with its creation. */}}
  operations: [CREATE{{ if ne . "Pod" }}, UPDATE{{ end }}]
  scope: Namespaced
{{- end }}
{{- end -}}

{{/* The kinds that are injected, as a list of CEL. */}}
{{- define "evenkeel.webhook.kindsAsList" -}}
['{{ .Values.webhook.kinds | join "', '" }}']
{{- end -}}

{{/* The kinds that Events are about, separated by commas; empty where there are none. */}}
{{- define "evenkeel.webhook.eventfulKinds" -}}
{{- if .Values.events.enabled }}{{ without .Values.webhook.kinds "Pod" | join "," }}{{ end -}}
{{- end -}}

{{/* The namespaces whose workloads are injected. */}}
{{- define "evenkeel.webhook.namespaceSelector" -}}
{{- with .Values.namespaces.matchLabels -}}
matchLabels:
  {{- toYaml . | nindent 2 }}
{{ end -}}
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values:
      {{- append .Values.namespaces.excluded .Release.Namespace | uniq | toYaml | nindent 6 }}
  - key: evenkeel.dev/inject
    operator: NotIn
    values: [disabled]
{{- end -}}
