# SPDX-License-Identifier: Apache-2.0
"""Random requests about users, roles and permissions, and of users with few of them."""
USERS = ["root", "alice", "bob", "carol"]
ROLES = ["root", "reader", "writer", "mixed"]
PASSWORDS = ["rootpw", "pw", "other", ""]
PERMISSIONS = ["READ", "WRITE", "READWRITE"]
WEIGHTS = {
    "user_add": 8, "user_get": 6, "user_list": 3, "user_delete": 3, "password": 4,
    "grant_role": 10, "revoke_role": 5, "role_add": 6, "role_get": 5, "role_list": 3,
    "role_delete": 3, "grant": 14, "take": 6, "login": 25, "nobody": 4, "older_token": 6,
    "enable": 3, "disable": 1, "auth": 4,
}


class Auth:
    """The lines; asked through the generator that owns the chances."""

    def __init__(self, generator):
        self.of = generator

    def next(self):
        names = list(WEIGHTS)
        name = self.of.random.choices(names, WEIGHTS.values())[0]
        return getattr(self, name)()

    def prelude(self):
        """root, and three who may do something; on."""
        lines = ['UserAdd name: "root" password: "rootpw"', 'RoleAdd name: "root"',
                 'UserGrantRole user: "root" role: "root"']
        for role in ROLES[1:]:
            lines.append(f'RoleAdd name: "{role}"')
            lines += [self.grant(role) for _ in range(self.of.random.randint(1, 4))]
        for user in USERS[1:]:
            lines.append(f'UserAdd name: "{user}" password: "pw"')
            lines.append(f'UserGrantRole user: "{user}" role: "{self.of.pick(ROLES[1:])}"')
        return lines + ["AuthEnable", 'Authenticate name: "root" password: "rootpw"']

    def user(self):
        return "" if self.of.chance(0.02) else self.of.pick(USERS + ["nobody"])

    def role(self):
        return "" if self.of.chance(0.02) else self.of.pick(ROLES + ["norole"])

    def user_add(self):
        options = self.of.pick(["", "", "", " options { no_password: true }",
                                " options { no_password: false }"])
        return f'UserAdd name: "{self.user()}" password: "{self.of.pick(PASSWORDS)}"{options}'

    def user_get(self):
        return f'UserGet name: "{self.user()}"'

    def user_list(self):
        return "UserList"

    def user_delete(self):
        return f'UserDelete name: "{self.user()}"'

    def password(self):
        return f'UserChangePassword name: "{self.user()}" password: "{self.of.pick(PASSWORDS)}"'

    def grant_role(self):
        return f'UserGrantRole user: "{self.user()}" role: "{self.role()}"'

    def revoke_role(self):
        return f'UserRevokeRole name: "{self.user()}" role: "{self.role()}"'

    def role_add(self):
        return f'RoleAdd name: "{self.role()}"'

    def role_get(self):
        return f'RoleGet role: "{self.role()}"'

    def role_list(self):
        return "RoleList"

    def role_delete(self):
        return f'RoleDelete role: "{self.role()}"'

    def range(self):
        from .generate import fields  # pylint: disable=import-outside-toplevel
        key = self.of.key()
        return key, self.of.end(0.6, key), fields

    def grant(self, role=None):
        key, end, fields = self.range()
        kind = 7 if self.of.chance(0.01) else self.of.pick(PERMISSIONS)
        perm = fields(permType=kind, key=key, range_end=end)
        return f'RoleGrantPermission name: "{role or self.role()}" perm {{ {perm} }}'

    def take(self):
        key, end, fields = self.range()
        return f'RoleRevokePermission role: "{self.role()}" {fields(key=key, range_end=end)}'

    def login(self):
        user = self.user()
        password = "rootpw" if user == "root" and self.of.chance(0.9) else \
            "pw" if self.of.chance(0.8) else self.of.pick(PASSWORDS)
        return f'Authenticate name: "{user}" password: "{password}"'

    def nobody(self):
        return "Nobody"

    def older_token(self):
        return f"Token {self.of.random.randint(1, 30)}"

    def enable(self):
        return "AuthEnable"

    def disable(self):
        """Off for a while: what comes then is not asked of anybody."""
        return ['Authenticate name: "root" password: "rootpw"', "AuthDisable"]

    def auth(self):
        return "AuthStatus"
