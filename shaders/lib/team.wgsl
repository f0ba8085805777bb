// Which rows a thread of a mat-vec works on: a workgroup holds GROUPS teams of LANES neighbours that share their rows.
// WG = LANES * GROUPS.

struct Invocation {
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) tid: u32,
#if SUBGROUPS
    @builtin(subgroup_size) sg: u32,
#endif
}

struct Team {
    index: u32, // over all workgroups, grid x fastest
    lane: u32,  // of this thread in its team
    sg: u32,    // subgroup size; 1 without SUBGROUPS
}

fn team_of(at: Invocation) -> Team {
#if SUBGROUPS
    let sg = at.sg;
#else
    let sg = 1u;
#endif
    let workgroup = at.workgroup.y * at.grid.x + at.workgroup.x;
    return Team(workgroup * GROUPS + at.tid / LANES, at.tid % LANES, sg);
}
