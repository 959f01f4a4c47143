import t from 'tap'
import { asked, built, rego, said } from './kit.ts'

const work = await built({
  'next/authz.rego': rego.replace('403', '401'),
  'next/data.json': { users: ['ann', 'bob', 'eve'] },
  ...Object.fromEntries(['ann', 'bob', 'eve', 'joe', 'kim'].map((user) => [`${user}.json`, asked(user)])),
})
await work.build('next', '-o', 'next.tar.gz')
t.teardown(() => work[Symbol.dispose]())
const bundles = ['bundle.tar.gz', 'next.tar.gz']
const files = ['ann.json', 'bob.json', 'eve.json', 'joe.json', 'kim.json']

t.test('diff groups what is decided differently by its first difference', async (t) => {
  const ran = await work.policy('diff', ...bundles, '--inputs', ...files)
  t.match(said(ran), {
    status: 0,
    stdout: [
      '/http_status: 403 → 401  (2)',
      '  joe.json',
      '  kim.json',
      '/allowed: false → true  (1)',
      '  eve.json',
      '5 asked, 3 decided differently',
      '',
    ].join('\n'),
  })
  t.equal((await work.policy('diff', ...bundles, '--inputs', ...files, '--fail')).status, 1)
  t.equal((await work.policy('diff', ...bundles, '--inputs', 'ann.json', '--fail')).status, 0)
})

t.test('diff asks for something to ask, and for two bundles', async (t) => {
  t.match(said(await work.policy('diff', ...bundles)), {
    status: 1,
    stderr: /nothing to ask; expected --inputs FILES or --events FILES/,
  })
  t.match(said(await work.policy('diff', 'bundle.tar.gz', 'ann.json', '--inputs', 'ann.json')), {
    status: 1,
    stderr: /^sluice: ann\.json: .*expected a gzip archive/,
  })
})
