/** Headers that only Sluice may speak in. */
export const ownHeaderPrefix = 'x-sluice-'
