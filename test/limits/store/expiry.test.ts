import t from 'tap'
import { type Ending, Expiry } from '../../../agent/limits/store/expiry.ts'
import fc from '../../fast-check.ts'

t.test('what ends comes in the order of its end, whatever was moved and taken out before', async (t) => {
  const times = fc.array(fc.nat(30), { minLength: 1, maxLength: 40, size: 'max' })
  const changes = fc.array(fc.tuple(fc.nat(), fc.option(fc.nat(30), { nil: undefined })), { maxLength: 20 })
  fc.assert(
    fc.property(times, changes, (expires, changed) => {
      const expiry = new Expiry<Ending>()
      const endings = expires.map((expiresUs) => ({ expiresUs, place: 0 }))
      for (const ending of endings) expiry.add(ending)
      for (const [any, expiresUs] of changed) {
        const ending = endings[any % endings.length]
        if (ending === undefined) continue
        if (expiresUs === undefined) {
          endings.splice(any % endings.length, 1)
          expiry.remove(ending)
        } else {
          ending.expiresUs = expiresUs
          expiry.moved(ending)
        }
      }
      const wanted = endings.map(({ expiresUs }) => expiresUs).sort((one, other) => one - other)
      for (const expiresUs of wanted) {
        if (expiry.popUntil(expiresUs - 1) !== undefined) return false
        if (expiry.popUntil(expiresUs)?.expiresUs !== expiresUs) return false
      }
      return expiry.popUntil(Number.POSITIVE_INFINITY) === undefined
    }),
    { numRuns: 500 },
  )
  t.pass()
})
