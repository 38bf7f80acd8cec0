{{/* Head of an admission policy: operations.md §3.6. They hold with the operator down. */}}
{{- define "manta.policy" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ include "manta.clusterName" . }}
  labels:
    {{- include "manta.labels" .root | nindent 4 }}
{{- end }}

{{/* Binds a policy to the release's namespace. */}}
{{- define "manta.policyBinding" -}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ include "manta.clusterName" . }}
  labels:
    {{- include "manta.labels" .root | nindent 4 }}
spec:
  policyName: {{ include "manta.clusterName" . }}
  validationActions: [{{ .action | default "Deny" }}]
  matchResources:
    namespaceSelector:
      matchLabels:
        kubernetes.io/metadata.name: {{ .root.Release.Namespace }}
{{- end }}
