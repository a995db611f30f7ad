// The words of the plain pages (login, account, choice of a name), English and Chinese.

const english = {
  title: 'Breakwater',
  login: 'Log in',
  name: 'Name',
  password: 'Password',
  loginWith: 'Log in with',
  loginFailed: 'The name or the password is wrong.',
  loggedInAs: 'Logged in as',
  administrator: 'administrator',
  logout: 'Log out',
  sessions: 'Your sessions',
  thisOne: 'this one',
  since: 'since',
  lastUsed: 'last used',
  from: 'from',
  cliHint:
    'docker login, podman login and the command line take your password here, or a CLI secret where you log in through a provider: make one with',
  chooseName: 'Choose a name',
  chooseNameHint: 'This is your first login here. Under which name do you want to be known?',
  go: 'Go on',
  back: 'Back to the login',
  failed: 'That did not work',
};

export type ConsoleWords = Readonly<Record<keyof typeof english, string>>;

const chinese: ConsoleWords = {
  title: 'Breakwater 防波堤',
  login: '登录',
  name: '用户名',
  password: '密码',
  loginWith: '使用以下方式登录：',
  loginFailed: '用户名或密码错误。',
  loggedInAs: '当前用户：',
  administrator: '管理员',
  logout: '退出登录',
  sessions: '您的会话',
  thisOne: '当前会话',
  since: '开始于',
  lastUsed: '最近使用',
  from: '来自',
  cliHint: 'docker login、podman login 和命令行使用您在此处的密码；若通过身份提供方登录，请使用 CLI 密钥，创建方式：',
  chooseName: '选择用户名',
  chooseNameHint: '这是您首次在此登录。您希望使用什么用户名？',
  go: '继续',
  back: '返回登录页',
  failed: '操作未成功',
};

/** By the language the browser names first. */
export function consoleWords(acceptLanguage: string | null): { readonly language: 'en' | 'zh-CN'; readonly words: ConsoleWords } {
  const first = (acceptLanguage ?? '').split(',', 1)[0]?.trim().toLowerCase() ?? '';
  return first === 'zh' || first.startsWith('zh-') ? { language: 'zh-CN', words: chinese } : { language: 'en', words: english };
}
