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
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: {{ .Chart.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{/* REPOSITORY:TAG of an image; call it with (list . .Values.webhook.image). */}}
{{- define "evenkeel.image" -}}
{{- $root := first . -}}
{{- $image := last . -}}
{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end -}}
