// The tc-bpf dataplane: what VLAN devices, skbedit and flower do on a kernel that has them.
//
//   host_egress  on the clsact egress of a host's uplink: pushes the 802.1Q tag, VID by subnet, PCP by DSCP
//   host_ingress on its clsact ingress: takes the tag off again
//   host_ingress_any  the same, but a frame that lost its tag on the way is taken as well
//   by_pcp       on the HTB of the congested port, without direct-action: returns the class of the tag's path and PCP
//   by_path      the same without the PCP; by_pcp_and_flow, by_flow: also by flow, each with a queue of its own
//   port_bleach, port_remark_0 to _7, port_strip  on the clsact egress of the switch's ports: a hostile switch
//
// PCP_BY_DSCP is the marking table as 64 comma-separated numbers; compile-bpf.sh passes it in.
// Section names must differ from function names, or the loader of tc takes one for the other.

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#ifndef PCP_BY_DSCP
#error "compile with -DPCP_BY_DSCP=<64 numbers>; see compile-bpf.sh"
#endif

#define VLAN_MIGRATION 100 // and those of the further parallel paths after it
#define MOST_PATHS 8
#define VLAN_TENANTS 200
#define GUEST_NETWORKS 78 // 10.78.x.x is behind the hosts, and crosses the tenants' network
#define FIRST_LEAF 0x10010 // class 1:FN1P: flow F, path N, PCP P; 1:10 is PCP 0, 1:17 is PCP 7
#define PATH_SHIFT 8
#define FLOW_SHIFT 12
#define FLOW_QUEUES 16

static const __u8 pcp_by_dscp[64] = {PCP_BY_DSCP};

struct fields {
	__u8 dscp;
	__u8 address[4]; // the sender's IPv4 address; its third number is the VID (10.77.VID.host)
};

// 0 when the frame is IPv4 or ARP and its sender is known, -1 otherwise.
static __always_inline int read_fields(struct __sk_buff *skb, struct fields *out)
{
	__u8 ds_field = 0;
	__u32 address_at;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, ETH_HLEN + 1, &ds_field, 1))
			return -1;
		address_at = ETH_HLEN + 12;
	} else if (skb->protocol == bpf_htons(ETH_P_ARP)) {
		address_at = ETH_HLEN + 14;
	} else {
		return -1;
	}
	out->dscp = ds_field >> 2;
	return bpf_skb_load_bytes(skb, address_at, out->address, 4);
}

static __always_inline int is_carried(__u16 vid)
{
	return (vid >= VLAN_MIGRATION && vid < VLAN_MIGRATION + MOST_PATHS) || vid == VLAN_TENANTS;
}

SEC("host_egress")
int push_tag(struct __sk_buff *skb)
{
	struct fields fields = {};
	__u16 vid;

	// A frame that carries a tag already was made by hand (an injected capture) and leaves as it is.
	if (skb->vlan_present || skb->protocol == bpf_htons(ETH_P_8021Q))
		return TC_ACT_OK;
	// Anything without an address of the lab would travel untagged, which no VLAN switch would carry.
	if (read_fields(skb, &fields))
		return TC_ACT_SHOT;
	vid = fields.address[1] == GUEST_NETWORKS ? VLAN_TENANTS : fields.address[2];
	if (!is_carried(vid))
		return TC_ACT_SHOT;
	if (bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), vid | pcp_by_dscp[fields.dscp & 63] << 13))
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

static __always_inline int take_tag(struct __sk_buff *skb)
{
	__u16 vid = skb->vlan_tci & 0xfff;

	if (!skb->vlan_present || !is_carried(vid))
		return TC_ACT_SHOT;
	return bpf_skb_vlan_pop(skb) ? TC_ACT_SHOT : TC_ACT_OK;
}

SEC("host_ingress")
int pop_tag(struct __sk_buff *skb)
{
	return take_tag(skb);
}

SEC("host_ingress_any")
int pop_tag_if_any(struct __sk_buff *skb)
{
	return skb->vlan_present ? take_tag(skb) : TC_ACT_OK;
}

// An untagged frame has no priority: best effort, like PCP 0.
static __always_inline __u32 pcp_of(struct __sk_buff *skb)
{
	return skb->vlan_present ? skb->vlan_tci >> 13 & 7 : 0;
}

// Whatever does not migrate is on the first path.
static __always_inline __u32 path_of(struct __sk_buff *skb)
{
	__u32 path = (skb->vlan_tci & 0xfff) - VLAN_MIGRATION;

	return skb->vlan_present && path < MOST_PATHS ? path : 0;
}

struct flow {
	__u32 leaf; // path and PCP
	__u32 protocol;
	__u8 addresses[8];
	__u8 ports[4];
};

// The place of each flow among those of its leaf, in the order in which they appeared.
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct flow);
	__type(value, __u32);
} flow_places SEC(".maps");

// How many flows each leaf has seen.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MOST_PATHS * 8);
	__type(key, __u32);
	__type(value, __u32);
} flows_seen SEC(".maps");

static __always_inline __u32 flow_of(struct __sk_buff *skb, __u32 leaf)
{
	struct flow flow = {.leaf = leaf};
	__u8 protocol;
	__u32 *known, *seen, place;

	// Only ARP is something else, and it has no flows.
	if (skb->protocol != bpf_htons(ETH_P_IP) || bpf_skb_load_bytes(skb, ETH_HLEN + 9, &protocol, 1) ||
	    bpf_skb_load_bytes(skb, ETH_HLEN + 12, flow.addresses, 8) ||
	    bpf_skb_load_bytes(skb, ETH_HLEN + 20, flow.ports, 4))
		return 0;
	flow.protocol = protocol;
	known = bpf_map_lookup_elem(&flow_places, &flow);
	if (known)
		return *known;
	seen = bpf_map_lookup_elem(&flows_seen, &leaf);
	if (!seen)
		return 0;
	// Nobody else counts meanwhile: the port's qdisc is locked.
	place = *seen % FLOW_QUEUES;
	*seen += 1;
	bpf_map_update_elem(&flow_places, &flow, &place, BPF_ANY);
	return place;
}

SEC("by_pcp")
int class_of_tag(struct __sk_buff *skb)
{
	return FIRST_LEAF + (path_of(skb) << PATH_SHIFT) + pcp_of(skb);
}

SEC("by_path")
int class_of_path(struct __sk_buff *skb)
{
	return FIRST_LEAF + (path_of(skb) << PATH_SHIFT);
}

SEC("by_pcp_and_flow")
int class_of_tag_and_flow(struct __sk_buff *skb)
{
	__u32 path = path_of(skb), pcp = pcp_of(skb);

	return FIRST_LEAF + (flow_of(skb, path * 8 + pcp) << FLOW_SHIFT) + (path << PATH_SHIFT) + pcp;
}

SEC("by_flow")
int class_of_flow(struct __sk_buff *skb)
{
	__u32 path = path_of(skb);

	return FIRST_LEAF + (flow_of(skb, path * 8) << FLOW_SHIFT) + (path << PATH_SHIFT);
}

SEC("port_bleach")
int clear_dscp(struct __sk_buff *skb)
{
	__u16 old, cleared;

	// The first two bytes of an IPv4 header: version and length, then the DS field, whose ECN bits stay.
	if (skb->protocol != bpf_htons(ETH_P_IP) || bpf_skb_load_bytes(skb, ETH_HLEN, &old, 2))
		return TC_ACT_UNSPEC;
	cleared = old & bpf_htons(0xff03);
	if (bpf_l3_csum_replace(skb, ETH_HLEN + 10, old, cleared, 2) ||
	    bpf_skb_store_bytes(skb, ETH_HLEN, &cleared, 2, 0))
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC; // on to the next program
}

static __always_inline int remark(struct __sk_buff *skb, __u16 pcp)
{
	__u16 vid = skb->vlan_tci & 0xfff;

	if (!skb->vlan_present)
		return TC_ACT_UNSPEC;
	if (bpf_skb_vlan_pop(skb) || bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), vid | pcp << 13))
		return TC_ACT_SHOT;
	return TC_ACT_UNSPEC;
}

#define PORT_REMARK(pcp)                                                                                               \
	SEC("port_remark_" #pcp) int set_pcp_##pcp(struct __sk_buff *skb)                                              \
	{                                                                                                              \
		return remark(skb, pcp);                                                                               \
	}
PORT_REMARK(0)
PORT_REMARK(1)
PORT_REMARK(2)
PORT_REMARK(3)
PORT_REMARK(4)
PORT_REMARK(5)
PORT_REMARK(6)
PORT_REMARK(7)

SEC("port_strip")
int strip_tag(struct __sk_buff *skb)
{
	return skb->vlan_present && bpf_skb_vlan_pop(skb) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

char gpl[] SEC("license") = "GPL"; // as the kernel asks of programs that use its GPL helpers
