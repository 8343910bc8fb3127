// Route netlink messages in batches, as much as the floor needs.

struct batch {
	uint32_t length, last; // of the bytes; offset of the last message
	uint32_t count;
	_Alignas(8) char bytes[8192];
};

static int nl_open(void)
{
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), one = 1;
	if (s < 0 || setsockopt(s, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one) < 0)
		return -1;
	return s;
}

static void nl_begin(struct batch *b) { b->length = b->last = b->count = 0; }

static struct nlmsghdr *nl_last(struct batch *b) { return (struct nlmsghdr *)(b->bytes + b->last); }

static void *nl_grow(struct batch *b, uint32_t n)
{
	void *p = memset(b->bytes + b->length, 0, NLMSG_ALIGN(n));
	b->length += NLMSG_ALIGN(n);
	nl_last(b)->nlmsg_len = b->length - b->last;
	return p;
}

static void nl_message(struct batch *b, uint16_t type, uint16_t flags, const void *body, uint32_t n)
{
	b->last = b->length;
	nl_grow(b, NLMSG_HDRLEN);
	nl_last(b)->nlmsg_type = type;
	nl_last(b)->nlmsg_flags = flags | NLM_F_REQUEST;
	nl_last(b)->nlmsg_seq = ++b->count;
	memcpy(nl_grow(b, n), body, n);
}

static uint32_t nl_attr(struct batch *b, uint16_t type, const void *value, uint32_t n)
{
	uint32_t at = b->length;
	struct rtattr *a = nl_grow(b, RTA_LENGTH(n));
	a->rta_type = type;
	a->rta_len = (uint16_t)RTA_LENGTH(n);
	if (n)
		memcpy(RTA_DATA(a), value, n);
	return at;
}

static void nl_u32(struct batch *b, uint16_t type, uint32_t v) { nl_attr(b, type, &v, sizeof v); }
static void nl_u8(struct batch *b, uint16_t type, uint8_t v) { nl_attr(b, type, &v, sizeof v); }
static void nl_string(struct batch *b, uint16_t type, const char *s) { nl_attr(b, type, s, (uint32_t)strlen(s) + 1); }
static uint32_t nl_nest(struct batch *b, uint16_t type) { return nl_attr(b, type | NLA_F_NESTED, 0, 0); }
static void nl_end(struct batch *b, uint32_t at) { ((struct rtattr *)(b->bytes + at))->rta_len = (uint16_t)(b->length - at); }

// nl_receive answers with the errno of the first message that was refused, negative, or with 0, when the last one was
// answered. For a reply other than an acknowledgement it calls f, if any.
static int nl_receive(int sock, struct batch *b, void (*f)(struct nlmsghdr *, int *), int *result)
{
	_Alignas(8) char reply[16384];
	int refused = 0;
	for (;;) {
		int n = (int)recv(sock, reply, sizeof reply, 0);
		if (n < 0)
			return -errno;
		for (struct nlmsghdr *h = (struct nlmsghdr *)reply; NLMSG_OK(h, (unsigned)n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type != NLMSG_ERROR) {
				if (!f)
					continue;
				f(h, result);
				return 0;
			}
			int err = ((struct nlmsgerr *)NLMSG_DATA(h))->error;
			if (err && !refused)
				refused = err;
			if (h->nlmsg_seq == b->count)
				return refused;
		}
	}
}

// nl_send executes the batch; only the last message asks for an answer. After an error errno is set.
static int nl_send(int sock, struct batch *b)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	nl_last(b)->nlmsg_flags |= NLM_F_ACK;
	if (sendto(sock, b->bytes, b->length, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0)
		return -1;
	int err = nl_receive(sock, b, 0, 0);
	errno = -err;
	return err ? -1 : 0;
}

static int nl_ask(int sock, struct batch *b, void (*f)(struct nlmsghdr *, int *))
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	int result = -1;
	if (sendto(sock, b->bytes, b->length, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0)
		return -1;
	int err = nl_receive(sock, b, f, &result);
	errno = -err;
	return err ? -1 : result;
}

static void nl_link(struct batch *b, uint16_t flags, int index, int up)
{
	struct ifinfomsg i = { .ifi_index = index, .ifi_flags = up ? IFF_UP : 0, .ifi_change = up ? IFF_UP : 0 };
	nl_message(b, RTM_NEWLINK, flags, &i, sizeof i);
}

static void nl_link_up(struct batch *b, int index) { nl_link(b, 0, index, 1); }

static void nl_address_generation_none(struct batch *b, int index)
{
	nl_link(b, 0, index, 0);
	uint32_t spec = nl_nest(b, IFLA_AF_SPEC), inet6 = nl_nest(b, AF_INET6);
	nl_u8(b, IFLA_INET6_ADDR_GEN_MODE, 1);
	nl_end(b, inet6);
	nl_end(b, spec);
}

static void nl_bridge(struct batch *b, int index)
{
	nl_link(b, NLM_F_CREATE | NLM_F_EXCL, index, 0);
	nl_string(b, IFLA_IFNAME, "br0");
	uint32_t info = nl_nest(b, IFLA_LINKINFO);
	nl_string(b, IFLA_INFO_KIND, "bridge");
	uint32_t data = nl_nest(b, IFLA_INFO_DATA);
	nl_u32(b, IFLA_BR_STP_STATE, 0);
	nl_u8(b, IFLA_BR_MCAST_SNOOPING, 0);
	nl_end(b, data);
	nl_end(b, info);
}

// nl_veth makes a cable: here a device with that index, a port of master if there is one, and eth0 in the namespace.
static void nl_veth(struct batch *b, int index, int master, int netns)
{
	char name[16];
	snprintf(name, sizeof name, "p%d", index);
	nl_link(b, NLM_F_CREATE | NLM_F_EXCL, index, 1);
	nl_string(b, IFLA_IFNAME, name);
	if (master)
		nl_u32(b, IFLA_MASTER, (uint32_t)master);
	nl_u32(b, IFLA_NUM_TX_QUEUES, 1);
	nl_u32(b, IFLA_NUM_RX_QUEUES, 1);
	uint32_t info = nl_nest(b, IFLA_LINKINFO);
	nl_string(b, IFLA_INFO_KIND, "veth");
	uint32_t data = nl_nest(b, IFLA_INFO_DATA), peer = nl_nest(b, VETH_INFO_PEER);
	struct ifinfomsg *i = nl_grow(b, sizeof *i);
	i->ifi_index = 2;
	nl_string(b, IFLA_IFNAME, "eth0");
	nl_u32(b, IFLA_NUM_TX_QUEUES, 1);
	nl_u32(b, IFLA_NUM_RX_QUEUES, 1);
	nl_u32(b, IFLA_NET_NS_FD, (uint32_t)netns);
	nl_end(b, peer);
	nl_end(b, data);
	nl_end(b, info);
}

static void nl_address4(struct batch *b, int index, uint32_t ip, int bits)
{
	uint32_t addr = htonl(ip), broadcast = htonl(ip | ((1u << (32 - bits)) - 1));
	struct ifaddrmsg a = { .ifa_family = AF_INET, .ifa_prefixlen = (uint8_t)bits, .ifa_index = (uint32_t)index };
	nl_message(b, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &a, sizeof a);
	nl_attr(b, IFA_LOCAL, &addr, 4);
	nl_attr(b, IFA_ADDRESS, &addr, 4);
	nl_attr(b, IFA_BROADCAST, &broadcast, 4);
}

// nl_address6 adds fd6e::NUMBER/64, which is usable at once (no duplicate address detection).
static void nl_address6(struct batch *b, int index, uint8_t number)
{
	uint8_t addr[16] = { 0xfd, 0x6e, [15] = number };
	struct ifaddrmsg a = { .ifa_family = AF_INET6, .ifa_prefixlen = 64, .ifa_index = (uint32_t)index };
	nl_message(b, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &a, sizeof a);
	nl_attr(b, IFA_LOCAL, addr, 16);
	nl_attr(b, IFA_ADDRESS, addr, 16);
	nl_u32(b, IFA_FLAGS, IFA_F_NODAD);
}

static void nl_see_link(struct nlmsghdr *h, int *state)
{
	int n = (int)IFLA_PAYLOAD(h);
	for (struct rtattr *a = IFLA_RTA((struct ifinfomsg *)NLMSG_DATA(h)); RTA_OK(a, n); a = RTA_NEXT(a, n))
		if (a->rta_type == IFLA_OPERSTATE)
			*state = *(uint8_t *)RTA_DATA(a);
}

// nl_oper_state is a link's operational state; asking makes the kernel settle it.
static int nl_oper_state(int sock, int index)
{
	struct batch b;
	struct ifinfomsg i = { .ifi_index = index };
	nl_begin(&b);
	nl_message(&b, RTM_GETLINK, 0, &i, sizeof i);
	nl_u32(&b, IFLA_EXT_MASK, 8 /* RTEXT_FILTER_SKIP_STATS */);
	return nl_ask(sock, &b, nl_see_link);
}

static void nl_see_route(struct nlmsghdr *h, int *type) { *type = ((struct rtmsg *)NLMSG_DATA(h))->rtm_type; }

// nl_is_local tells whether the host's IPv6 address is in force: the kernel makes it so in the background.
static int nl_is_local(int sock, uint8_t number)
{
	struct batch b;
	uint8_t addr[16] = { 0xfd, 0x6e, [15] = number };
	struct rtmsg r = { .rtm_family = AF_INET6, .rtm_dst_len = 128 };
	nl_begin(&b);
	nl_message(&b, RTM_GETROUTE, 0, &r, sizeof r);
	nl_attr(&b, RTA_DST, addr, 16);
	return nl_ask(sock, &b, nl_see_route) == RTN_LOCAL;
}
