import t from 'tap'
import { messageOf, SluiceError } from '#base/errors.ts'

t.test('an error names the place, what was found and what was expected', async (t) => {
  const error = new SluiceError({ code: 'x', place: 'a.yaml:3', found: 'a list', expected: 'a map' })
  t.equal(error.message, 'a.yaml:3: a list; expected a map')
  t.equal(error.code, 'x')
})

t.test('anything that was thrown has a text', async (t) => {
  t.equal(messageOf('plain'), 'plain')
  t.equal(messageOf(new Error('e')), 'e')
})
