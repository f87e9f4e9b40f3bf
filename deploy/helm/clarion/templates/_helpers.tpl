{{- define "clarion.labels" -}}
app.kubernetes.io/name: clarion
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "clarion.selector" -}}
app.kubernetes.io/name: clarion
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "clarion.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "clarion.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "clarion.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- /* Clarion refuses a key that others can read and a directory that others can write, and what Kubernetes mounts is both: it gets
a copy in memory. */}}
{{- define "clarion.keyCopy" -}}
- name: key
  image: {{ include "clarion.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  command:
    - sh
    - -c
    - install -d -m 0700 /var/lib/clarion/data && install -m 0600 /secret/installation.key /var/lib/clarion/data/
  securityContext: {{- include "clarion.containerSecurity" . | nindent 4 }}
  resources: { requests: { cpu: 10m, memory: 16Mi }, limits: { memory: 64Mi } }
  volumeMounts:
    - { name: secret, mountPath: /secret, readOnly: true }
    - { name: data, mountPath: /var/lib/clarion }
{{- end }}

{{- define "clarion.volumes" -}}
- name: data
  emptyDir: { medium: Memory, sizeLimit: 64Mi }
- name: tmp
  emptyDir: { sizeLimit: 256Mi }
- name: secret
  secret:
    secretName: {{ .Values.secret }}
    items: [{ key: installation.key, path: installation.key }]
{{- end }}

{{- define "clarion.mounts" -}}
- { name: data, mountPath: /var/lib/clarion }
- { name: tmp, mountPath: /tmp }
{{- end }}

{{- define "clarion.env" -}}
- { name: CLARION_PUBLIC_URL, value: {{ required "publicUrl is the https:// address that people use" .Values.publicUrl | quote }} }
- { name: CLARION_DATA_DIR, value: /var/lib/clarion/data }
{{- range $name, $key := dict "CLARION_DATABASE" "database" "CLARION_BROKER" "broker" "CLARION_REDIS" "redis" }}
- name: {{ $name }}
  valueFrom: { secretKeyRef: { name: {{ $.Values.secret }}, key: {{ $key }} } }
{{- end }}
{{- range $name, $value := .Values.settings }}
- { name: {{ $name }}, value: {{ $value | quote }} }
{{- end }}
{{- end }}
