import t from 'tap'
import { asked, built, said } from './kit.ts'

const good = `base: ann.json
cases:
  - name: a user is allowed
    expect:
      result: { allowed: true, headers: { x-user: ann } }
      verdict: { allowed: true, set_headers: { x-user: ann } }
  - name: a stranger is not
    change: { attributes: { request: { http: { headers: { x-user: eve } } } } }
    expect: { verdict: { allowed: false, status: 403, body: "no" } }
  - name: nor is nobody
    change: { attributes: { request: { http: { headers: { x-user: null } } } } }
    expect: { result: { allowed: false, http_status: 403, body: "no" } }
  - name: a captured request is one too
    input:
      attributes: { request: { http: { method: GET, path: /, headers: { x-user: bob } } } }
    expect: { verdict: { allowed: true } }
`
const failing = `base: ann.json
cases:
  - name: right
    expect: { result: { allowed: true, headers: { x-user: ann } } }
  - name: another header
    expect: { result: { allowed: true, headers: { x-user: bob } } }
  - name: another status
    change: { attributes: { request: { http: { headers: { x-user: eve } } } } }
    expect: { verdict: { status: 401 } }
  - name: not undefined
    expect: { undefined: true }
  - name: nowhere
    decision: nowhere/allow
    expect: { result: true }
`
const work = await built({
  'ann.json': asked('ann'),
  'cases/good.case.yaml': good,
  'bad/failing.case.yaml': failing,
})
t.teardown(() => work[Symbol.dispose]())

t.test('cases that hold pass, in the manner of opa test', async (t) => {
  work.write({ 'cases/ann.json': asked('ann') })
  t.match(said(await work.policy('test', 'bundle.tar.gz', 'cases')), {
    status: 0,
    stdout: 'PASS: 4/4\n',
    stderr: '',
  })
  const verbose = await work.policy('test', 'bundle.tar.gz', 'cases/good.case.yaml', '-v')
  t.match(verbose.stdout, /^cases\/good\.case\.yaml:\na user is allowed: PASS \([\d.]+ms\)\n/)
})

t.test('a case that does not hold says where it differs first', async (t) => {
  work.write({ 'bad/ann.json': asked('ann') })
  const ran = await work.policy('test', 'bundle.tar.gz', 'bad')
  t.equal(ran.status, 2, ran.stderr)
  const lines = ran.stdout.replace(/\([\d.]+ms\)/g, '(…)').split('\n')
  t.same(lines, [
    'bad/failing.case.yaml:',
    'another header: FAIL (…)',
    '  bad/failing.case.yaml:5:5: result at /headers/x-user is "ann", expected "bob"',
    'another status: FAIL (…)',
    '  bad/failing.case.yaml:7:5: verdict at /status is 403, expected 401',
    'not undefined: FAIL (…)',
    '  bad/failing.case.yaml:10:5: result is {"allowed":true,"headers":{"x-user":"ann"}}, expected undefined',
    'nowhere: ERROR (…)',
    '  bad/failing.case.yaml:12:5: no entrypoint nowhere/allow; expected one of envoy/authz/allow',
    '-'.repeat(80),
    'PASS: 1/5',
    'FAIL: 3/5',
    'ERROR: 1/5',
    '',
  ])
  const json = await work.policy('test', 'bundle.tar.gz', 'bad', '--json')
  t.match(JSON.parse(json.stdout)[1], {
    name: 'another header',
    state: 'fail',
    difference: { of: 'result', path: '/headers/x-user', left: 'ann', right: 'bob' },
  })
})

const wrong: [name: string, text: string, stderr: RegExp][] = [
  [
    'a key that is not known',
    'cases:\n  - name: a\n    inptu: {}\n    expect: { result: true }\n',
    /c\.case\.yaml:3:5: cases\.0\.inptu: a key that is not known; expected input/,
  ],
  [
    'an expectation of nothing',
    'base: {}\ncases:\n  - name: a\n    expect: {}\n',
    /c\.case\.yaml:4:13: cases\.0\.expect: .*; expected at least one of result, undefined and verdict/,
  ],
  [
    'a result and none',
    'base: {}\ncases:\n  - name: a\n    expect: { result: 1, undefined: true }\n',
    /expected result or undefined, not both/,
  ],
  [
    'no input',
    'cases:\n  - name: a\n    expect: { result: true }\n',
    /2:5: cases\.0: no input; expected an `input`/,
  ],
  ['no case', 'base: {}\ncases: []\n', /cases: \[\]; expected at least 1 in the list/],
  ['no YAML', 'cases: [\n', /c\.case\.yaml:2.*expected YAML/],
  [
    'a time that is none',
    'base: {}\nnow: noon\ncases:\n  - name: a\n    expect: { result: true }\n',
    /now: "noon"; expected a moment/,
  ],
  [
    'a file that is not there',
    'base: nowhere.json\ncases:\n  - name: a\n    expect: { result: true }\n',
    /nowhere\.json: ENOENT/,
  ],
]
t.test('a case file with a mistake is told with its line', async (t) => {
  for (const [name, text, stderr] of wrong) {
    const path = work.write({ 'c.case.yaml': text })
    t.match(said(await work.policy('test', 'bundle.tar.gz', path)), { status: 1, stdout: '', stderr }, name)
  }
  work.write({ 'none/readme.md': '' })
  t.match(said(await work.policy('test', 'bundle.tar.gz', 'none')), { status: 1, stderr: /no case files/ })
})
