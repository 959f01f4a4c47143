import t from 'tap'
import { createMemoryStore } from '../../../agent/limits/store/memory.ts'
import { storeLaws } from './laws.ts'

storeLaws(t, {
  name: 'memory',
  open: async (clock) => ({ store: createMemoryStore({ clock }), advance: () => {} }),
})
