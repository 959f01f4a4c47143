import {
  createFileRegistry,
  type DescEnum,
  type DescField,
  type DescFile,
  type DescMessage,
  fromBinary,
} from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import t from 'tap'
import { file_envoy_config_cluster_v3_cluster as cluster } from '#gen/envoy/config/cluster/v3/cluster_pb.js'
import { file_envoy_config_endpoint_v3_endpoint as endpoint } from '#gen/envoy/config/endpoint/v3/endpoint_pb.js'
import { file_envoy_config_route_v3_route as route } from '#gen/envoy/config/route/v3/route_pb.js'
import { file_envoy_extensions_transport_sockets_tls_v3_secret as secret } from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js'
import { file_envoy_extensions_transport_sockets_tls_v3_tls_spiffe_validator_config as spiffe } from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config_pb.js'
import { file_envoy_service_auth_v3_external_auth as extAuthz } from '#gen/envoy/service/auth/v3/external_auth_pb.js'
import { file_envoy_service_discovery_v3_ads as ads } from '#gen/envoy/service/discovery/v3/ads_pb.js'
import { file_envoy_service_ext_proc_v3_external_processor as extProc } from '#gen/envoy/service/ext_proc/v3/external_processor_pb.js'
import { file_envoy_service_ratelimit_v3_rls as rateLimit } from '#gen/envoy/service/ratelimit/v3/rls_pb.js'
import { file_envoy_service_secret_v3_sds as sds } from '#gen/envoy/service/secret/v3/sds_pb.js'
import { file_grpc_health_v1_health as health } from '#gen/grpc/health/v1/health_pb.js'
import { file_spiffe_workload_workload as workload } from '#gen/spiffe/workload/workload_pb.js'
import { goTool } from '../harness/go-tools.ts'
import { run } from '../harness/run.ts'

/** Packages of which nothing may be missing: these messages come from outside on every request. */
const complete = ['envoy.service.auth.v3', 'envoy.service.ext_proc.v3', 'envoy.service.ratelimit.v3']

const describeField = (field: DescField): string => {
  const type = field.message?.typeName ?? field.enum?.typeName ?? field.scalar
  const map = field.fieldKind === 'map' ? `map<${field.mapKey},` : ''
  return `${field.number} ${field.fieldKind} ${map}${String(type)} ${field.oneof?.name ?? ''}`
}

function everything(files: readonly DescFile[]): { messages: DescMessage[]; enums: DescEnum[] } {
  const seen = new Set<string>()
  const messages: DescMessage[] = []
  const enums: DescEnum[] = []
  const visit = (message: DescMessage) => {
    messages.push(message)
    enums.push(...message.nestedEnums)
    message.nestedMessages.forEach(visit)
  }
  const walk = (file: DescFile) => {
    if (seen.has(file.name) || file.proto.package.startsWith('google.protobuf')) return
    seen.add(file.name)
    file.messages.forEach(visit)
    enums.push(...file.enums)
    file.dependencies.forEach(walk)
  }
  files.forEach(walk)
  return { messages, enums }
}

t.test(
  'every message, field and value is that of Envoy 1.40, gRPC health and the Workload API',
  async (t) => {
    const bytes = await run(await goTool('descriptors'), [])
    const official = createFileRegistry(fromBinary(FileDescriptorSetSchema, bytes))
    const ours = everything([
      cluster,
      endpoint,
      route,
      secret,
      spiffe,
      extAuthz,
      ads,
      extProc,
      rateLimit,
      sds,
      health,
      workload,
    ])
    t.ok(ours.messages.length > 100, `compares ${ours.messages.length} messages`)

    const differences: string[] = []
    for (const message of ours.messages) {
      const theirs = official.getMessage(message.typeName)
      if (theirs === undefined) {
        differences.push(`${message.typeName}: is not a message of Envoy`)
        continue
      }
      for (const field of message.fields) {
        const their = theirs.fields.find((candidate) => candidate.name === field.name)
        const wanted = their === undefined ? 'no such field' : describeField(their)
        const found = describeField(field)
        if (found !== wanted)
          differences.push(`${message.typeName}.${field.name}: ${found}, Envoy has ${wanted}`)
      }
      if (!complete.includes(message.file.proto.package)) continue
      for (const field of theirs.fields) {
        if (message.fields.every((own) => own.name !== field.name))
          differences.push(`${message.typeName}.${field.name}: missing`)
      }
    }
    for (const type of ours.enums) {
      const theirs = official.getEnum(type.typeName)
      const text = (values: DescEnum['values'] = []) =>
        values.map((value) => `${value.name}=${value.number}`).join(' ')
      if (text(type.values) !== text(theirs?.values))
        differences.push(`${type.typeName}: ${text(type.values)}`)
    }
    for (const file of [extAuthz, extProc, rateLimit, ads, sds, health, workload]) {
      for (const service of file.services) {
        const theirs = official.getService(service.typeName)
        const isOurs = (name: string) => service.methods.some((method) => method.name === name)
        const text = (methods: typeof service.methods = []) =>
          methods
            .map(
              (method) =>
                `${method.name} ${method.methodKind} ${method.input.typeName} ${method.output.typeName}`,
            )
            .join('\n')
        if (text(service.methods) !== text(theirs?.methods.filter(({ name }) => isOurs(name))))
          differences.push(`${service.typeName}: ${text(service.methods)}`)
      }
    }
    t.same(differences, [])
  },
)
