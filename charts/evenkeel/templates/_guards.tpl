{{/*
What would install and then not work, each refused with a sentence. The schema says some of it too, to editors; it can be
switched off (--skip-schema-validation), and knows no value in the light of another.
*/}}
{{- define "evenkeel.guards" -}}
{{- if lt (int .Values.webhook.replicas) 1 -}}
{{- fail "webhook.replicas is 0: nobody would answer, and workloads would be admitted without their proxy. Give 1 or more, or uninstall the release." -}}
{{- end -}}
{{- if or (lt (int .Values.webhook.timeoutSeconds) 1) (gt (int .Values.webhook.timeoutSeconds) 30) -}}
{{- fail (printf "webhook.timeoutSeconds is %v: Kubernetes allows 1 to 30." .Values.webhook.timeoutSeconds) -}}
{{- end -}}
{{- if not (has .Values.webhook.logLevel (list "error" "warn" "info" "debug" "trace")) -}}
{{- fail (printf "webhook.logLevel is %q: give error, warn, info, debug or trace." .Values.webhook.logLevel) -}}
{{- end -}}
{{- if lt (int .Values.balancer.replicas) 1 -}}
{{- fail "balancer.replicas is 0: nobody would balance. Give 1 or more, or set balancer.enabled=false." -}}
{{- end -}}
{{- if not (has .Values.balancer.logLevel (list "error" "warn" "info" "debug" "trace")) -}}
{{- fail (printf "balancer.logLevel is %q: give error, warn, info, debug or trace." .Values.balancer.logLevel) -}}
{{- end -}}
{{- if not (has "kube-system" .Values.namespaces.excluded) -}}
{{- fail "namespaces.excluded has no kube-system: what a cluster needs to come up must not wait for a webhook that runs in it. Add kube-system." -}}
{{- end -}}
{{- if hasKey .Values.defaults "max-requests" -}}
{{- fail "defaults has max-requests: each workload asks for the proxy itself, by the annotation evenkeel.dev/max-requests." -}}
{{- end -}}
{{- range $name, $value := .Values.defaults -}}
{{- if kindIs "bool" $value -}}
{{- fail (printf "defaults.%s is %v, which is what YAML makes of a bare on or off: write it in quotes." $name $value) -}}
{{- end -}}
{{- end -}}
{{- if not (has .Values.tls.mode (list "self" "certManager" "existing")) -}}
{{- fail (printf "tls.mode is %q: give self, certManager or existing." .Values.tls.mode) -}}
{{- end -}}
{{- with .Values.tls.existing -}}
{{- if eq $.Values.tls.mode "existing" -}}
{{- if not .secretName -}}
{{- fail "tls.mode is existing, and tls.existing.secretName is empty: name the Secret that has the certificate." -}}
{{- end -}}
{{- if not (contains "-----BEGIN CERTIFICATE-----" .caBundle) -}}
{{- fail "tls.mode is existing, and tls.existing.caBundle has no certificate in PEM: API servers would trust none that is for a name in .svc. Give it with --set-file tls.existing.caBundle=ca.crt." -}}
{{- end -}}
{{- else if or .secretName .caBundle -}}
{{- fail (printf "tls.existing is given, and tls.mode is %s, which does not use it: set tls.mode=existing, or leave tls.existing out." $.Values.tls.mode) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.tls.certManager.issuerRef (ne .Values.tls.mode "certManager") -}}
{{- fail (printf "tls.certManager.issuerRef is given, and tls.mode is %s, which does not use it: set tls.mode=certManager, or leave it out." .Values.tls.mode) -}}
{{- end -}}
{{- if and .Values.networkPolicy.metricsFrom (not .Values.networkPolicy.enabled) -}}
{{- fail "networkPolicy.metricsFrom is given, and networkPolicy.enabled is false: it would change nothing." -}}
{{- end -}}
{{- end -}}
