import type { Raw } from '../part.ts'
import type { Verification } from '../signature/signature.ts'
import { type DownloadSource, startDownload } from './download.ts'
import { type FileSource, startFile } from './file.ts'
import { type LooseSource, startLoose } from './loose.ts'

/** What all sources have. */
export interface SourceBase {
  /** What the bundle is called in status, in the log and beside decisions. */
  readonly name: string
  /** Keys that it must be signed with; read anew for each load, so that a key can be replaced with the bundle. */
  readonly verification?: (() => Verification) | undefined
  /** Of the archive, packed and unpacked. */
  readonly sizeLimitBytes?: number | undefined
}

/** Where a bundle comes from. */
export type BundleSource = DownloadSource | FileSource | LooseSource

/** A bundle, or a change to one, that may take effect. */
export interface Offer {
  readonly place: string
  readonly sizeBytes?: number
  /** @throws SluiceError for what is no archive. */
  read(): Promise<Raw>
}

/** Who a source tells of what it finds. */
export interface Listener {
  /** True when it was taken; a refusal has been told of by then. */
  offer(offer: Offer): Promise<boolean>
  onRequest(): void
  /** What is in force is still what there is. */
  onConfirmed(atMs?: number): void
  onProblem(problem: string, httpStatus?: number): void
}

/** Starts to look for a bundle. Resolves when what is there without a server has been offered. */
export function startSource(
  source: BundleSource,
  listener: Listener,
  options: { readonly watchIntervalMs?: number | undefined },
): Promise<Disposable> {
  switch (source.kind) {
    case 'download':
      return startDownload(source, listener)
    case 'file':
      return startFile(source, listener, options.watchIntervalMs)
    case 'loose':
      return startLoose(source, listener, options.watchIntervalMs)
  }
  return source satisfies never
}
