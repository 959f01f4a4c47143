import type { ModelVerb } from '#decision/exchange.ts'

const service = '/inference.GRPCInferenceService/'

/** How a method of the service is judged. */
export interface GrpcMethod {
  readonly verb: ModelVerb
  /** Whether its message names a model: the decision then waits for the message. */
  readonly isNamed: boolean
}

const method = (verb: ModelVerb, isNamed = false): GrpcMethod => ({ verb, isNamed })

const methods: ReadonlyMap<string, GrpcMethod> = new Map([
  ['ServerLive', method('server_live')],
  ['ServerReady', method('server_ready')],
  ['ServerMetadata', method('server_metadata')],
  ['ModelReady', method('model_ready', true)],
  ['ModelMetadata', method('metadata', true)],
  ['ModelConfig', method('config', true)],
  ['ModelStatistics', method('stats', true)],
  ['ModelInfer', method('infer', true)],
  ['ModelStreamInfer', method('stream_infer', true)],
  ['RepositoryIndex', method('repository')],
  ['RepositoryModelLoad', method('repository')],
  ['RepositoryModelUnload', method('repository')],
  ['SystemSharedMemoryStatus', method('shared_memory')],
  ['SystemSharedMemoryRegister', method('shared_memory')],
  ['SystemSharedMemoryUnregister', method('shared_memory')],
  ['CudaSharedMemoryStatus', method('shared_memory')],
  ['CudaSharedMemoryRegister', method('shared_memory')],
  ['CudaSharedMemoryUnregister', method('shared_memory')],
  ['TraceSetting', method('trace')],
  ['LogSettings', method('logging')],
])

/** Whether a path is one of the inference service, known or not. */
export function isV2Grpc(path: string): boolean {
  return path.startsWith(service)
}

/** The method of a gRPC path; `undefined` when the service has none of that name. */
export function grpcMethod(path: string): GrpcMethod | undefined {
  return path.startsWith(service) ? methods.get(path.slice(service.length)) : undefined
}
