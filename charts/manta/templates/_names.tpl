{{/* Labels of everything in the release. */}}
{{- define "manta.labels" -}}
app.kubernetes.io/name: manta
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
{{- end }}

{{/* Labels of the operator's pods. */}}
{{- define "manta.operatorLabels" -}}
manta.io/service: operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Reference of the operator's image. */}}
{{- define "manta.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.registry }}/operator@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.registry }}/operator:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* Name of what lies outside namespaces, where two releases must not meet: the name and the namespace. */}}
{{- define "manta.clusterName" -}}
{{ .name }}-{{ .root.Release.Namespace }}
{{- end }}

{{/* User name of the operator's service account. */}}
{{- define "manta.operatorUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:manta-operator
{{- end }}

{{/* Secrets that the operator makes and keeps: operations.md §5.4. */}}
{{- define "manta.secretNames" -}}
[manta-region-key, manta-node-tokens, manta-postgres, manta-nameservice, manta-user-tokens, manta-poseidon, manta-tls, manta-access-viewer, manta-access-operate, manta-access-admin]
{{- end }}

{{/* Restricted Pod Security, of a container. */}}
{{- define "manta.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Restricted Pod Security, of a pod. */}}
{{- define "manta.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}
